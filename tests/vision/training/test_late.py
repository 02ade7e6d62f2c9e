"""What a step found may be read while the next one is under way: nothing else is different."""

from pathlib import Path

import pytest
import torch
from test_guards import Spoil, gradient_alone, infinite, not_a_number, spoiled
from tiny_training import differing, history_of, new_training, state_of

from graft.vision.contenders.ground import Ground
from graft.vision.errors import TrainingError
from graft.vision.training.findings import Finding, Findings
from graft.vision.training.gradients import Added
from graft.vision.training.loop import Training
from graft.vision.training.refused import Met, load_refused

MANY = {"epochs": 3, "ema_decay": 0.9, "batch_norm": "moves", "learning_rate": 5e-3}


def late(training: Training) -> Training:
    """As on a GPU."""
    training.steps.reads_late = True
    return training


@pytest.mark.parametrize("more", [{}, {"accumulate": 2}, {"l2_sp": 0.1}, {"mixup_alpha": 0.3}])
def test_training__read_late_is_the_same_to_the_bit(ground: Ground, more: dict[str, float]) -> None:
    at_once = new_training(ground, **MANY, **more).run()
    found = late(new_training(ground, **MANY, **more)).run()
    assert differing(state_of(found.model), state_of(at_once.model)) == set()
    assert history_of(found) == history_of(at_once)


# Three batches make an epoch: the fifth is the second of the second epoch, the sixth its last.
@pytest.mark.parametrize("at", [5, 6])
@pytest.mark.parametrize("spoil", [not_a_number, infinite, gradient_alone])
@pytest.mark.parametrize("l2_sp", [0.0, 0.5])
def test_refusal__that_comes_late_is_of_its_batch_and_nothing_has_moved(
    ground: Ground, tmp_path: Path, spoil: Spoil, at: int, l2_sp: float
) -> None:
    met: dict[str, torch.Tensor] = {}
    path, saved = tmp_path / "checkpoint.safetensors", []
    training = late(
        new_training(
            ground,
            path,
            task=spoiled(ground.task, spoil, at=at),
            after_epoch=lambda row: saved.append(path.read_bytes()),
            l2_sp=l2_sp,
            **MANY,
        )
    )
    start = training.gradients.start

    def noted(*given: object) -> Added:
        if len(counted) == at - 1:
            met.update(state_of(training.model))
        counted.append(None)
        return start(*given)  # type: ignore[arg-type]

    counted: list[None] = []
    training.gradients.start = noted  # type: ignore[method-assign, assignment]
    with pytest.raises(TrainingError, match=f"epoch 2, batch {at - 3} gave a .*; nothing moved"):
        training.run()
    assert differing(state_of(training.model), met) == set()
    assert all(parameter.grad is None for parameter in training.model.parameters())
    assert saved == [path.read_bytes()]
    refused = load_refused(path.with_suffix(".refused.safetensors"))
    assert differing(dict(refused.state), met) == set()
    assert (refused.met.epoch, refused.met.number) == (1, at - 4)


def test_step__that_spoils_weights_is_told_of_its_own_batch(ground: Ground, tmp_path: Path) -> None:
    options = {"epochs": 2, "learning_rate": 1e39, "precision": "fp32"}
    training = late(new_training(ground, tmp_path / "c.safetensors", **options))
    said = "epoch 1, batch 1 gave weights that are not finite after its step"
    with pytest.raises(TrainingError, match=said):
        training.run()
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["c.refused.safetensors"]


def test_findings__are_read_once_and_in_order() -> None:
    findings, added = Findings(torch.device("cpu")), Added(torch.tensor(1.0), lambda: None)
    met: Met = None  # type: ignore[assignment]
    for value in (0.5, float("inf")):
        findings.note(Finding("loss", torch.tensor(value), met, added))
        assert float(findings.is_odd()) == (value != 0.5)
    findings.send()
    findings.note(Finding("norm", torch.tensor(2.0), met, added))
    assert [value for _, value in findings.read()] == [0.5, float("inf")]
    assert list(findings.read()) == []
    findings.send()
    assert [(finding.kind, value) for finding, value in findings.read()] == [("norm", 2.0)]
