"""Fine-tuning that starts from a standing model starts from all of it that fits, and says so."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from task_grounds import VOICES, lay_scenes

from graft.vision.backbones.weights import digest_state
from graft.vision.contenders import fine_tuned
from graft.vision.contenders.fine_tuned import train_fine_tuned, training_digest
from graft.vision.contenders.ground import Ground
from graft.vision.contenders.parents import start_from_parent
from graft.vision.errors import DataError
from graft.vision.model import GraftedModel, TrainedModel
from graft.vision.task import ClassTable
from graft.vision.tasks import load_trained
from graft.vision.training.options import FineTuningOptions

TUNING = FineTuningOptions(epochs=1, batch_size=8)


@dataclass(frozen=True)
class Standing:
    """A model as a training is given it."""

    model: TrainedModel
    split_manifest: pd.DataFrame
    name: str = "tiny-classification/3"
    weights_sha256: str = "f" * 64


def shaken(ground: Ground, seed: int, contender: str = "fine_tuned") -> TrainedModel:
    """A model of the ground, every weight moved."""
    model = ground.new_model()
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    return ground.finish(contender, model, "lp_ft", 7.0, {})


@pytest.fixture(scope="module")
def probe(ground: Ground) -> TrainedModel:
    return shaken(ground, 1, "probe")


@pytest.fixture(scope="module")
def parent(ground: Ground) -> Standing:
    return Standing(shaken(ground, 2), ground.rows)


Start = Callable[..., GraftedModel]


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Start:
    """What a training would start from."""

    def look(ground: Ground, *more: Any, **options: Any) -> GraftedModel:
        seen: list[GraftedModel] = []

        def stop(name: str, ground: Ground, model: GraftedModel, *rest: Any) -> None:
            seen.append(model)
            raise StopIteration

        monkeypatch.setattr(fine_tuned, "run_training", stop)
        probe, parent = more
        with pytest.raises(StopIteration):
            train_fine_tuned(ground, probe, tmp_path, TUNING.model_copy(update=options), parent)
        return seen[0]

    return look


def state(module: torch.nn.Module) -> str:
    return digest_state(dict(module.state_dict()))


@pytest.mark.parametrize("strategy", ["lp_ft", "full", "gradual", "norm_and_bias"])
def test_fine_tuned__starts_from_the_whole_parent_where_all_agrees(
    ground: Ground, probe: TrainedModel, parent: Standing, start: Start, strategy: str
) -> None:
    model = start(ground, probe, parent, strategy=strategy)
    assert state(model) == state(parent.model.module)
    digests = {
        training_digest("fine_tuned", ground, m, TUNING) for m in (model, ground.new_model())
    }
    assert len(digests) == 2  # a training is taken up again only from the weights it started with


@pytest.mark.parametrize(
    ("strategy", "head", "said"), [("lp_ft", "probe", "of the probe"), ("full", "new", "new")]
)
def test_fine_tuned__of_other_classes_takes_the_backbone_and_says_where_its_head_is_from(
    ground: Ground,
    probe: TrainedModel,
    parent: Standing,
    start: Start,
    tmp_path: Path,
    strategy: str,
    head: str,
    said: str,
) -> None:
    classes = ClassTable(names=("ant", "bee", "hornet"))
    card = parent.model.card.model_copy(update={"classes": classes})
    other = replace(parent, model=replace(parent.model, card=card))
    model = start(ground, probe, other, strategy=strategy)
    heads = {"probe": probe.module.head, "new": ground.new_model().head}
    assert state(model.backbone) == state(parent.model.module.backbone)
    assert state(model.head) == state(heads[head])
    facts = start_from_parent(ground, ground.new_model(), probe if head == "probe" else None, other)
    assert facts["head"].startswith(said) and "ant, bee, hornet" in facts["head"]


def test_fine_tuned__names_its_parent_on_its_card_and_counts_its_own_minutes(
    ground: Ground, probe: TrainedModel, parent: Standing, tmp_path: Path
) -> None:
    model, history = train_fine_tuned(ground, probe, tmp_path, TUNING, parent)
    said = model.card.facts["parent"]
    assert said["name"] == parent.name and said["weights_sha256"] == parent.weights_sha256
    assert said["backbone"] == said["head"] == "of the parent"
    assert model.card.minutes == pytest.approx(history["seconds"].sum() / 60, abs=0.05)
    assert model.card.minutes < probe.card.minutes
    plain, _ = train_fine_tuned(ground, probe, tmp_path, TUNING)
    assert "parent" not in plain.card.facts and plain.card.minutes > probe.card.minutes


def test_fine_tuned__leaves_frozen_stages_as_the_parent_had_them(
    ground: Ground, probe: TrainedModel, parent: Standing, tmp_path: Path
) -> None:
    options = TUNING.model_copy(update={"frozen_stages": 2, "ema_decay": None})
    model, _ = train_fine_tuned(ground, probe, tmp_path, options, parent)
    frozen = set(model.module.stages[:2])
    frozen_facts = model.card.facts["frozen"]
    assert frozen_facts["before"] == frozen_facts["after"]
    before, after = parent.model.module.state_dict(), model.module.state_dict()
    for name, tensor in after.items():
        if model.module.stage_of(name) in frozen:
            assert torch.equal(tensor, before[name]), name


def test_fine_tuned__states_the_origin_of_the_weights_that_the_parent_came_from(
    ground: Ground, probe: TrainedModel, parent: Standing
) -> None:
    contract = parent.model.card.backbone.model_copy(update={"origin": "file old.safetensors"})
    card = parent.model.card.model_copy(update={"backbone": contract})
    other, model = replace(parent, model=replace(parent.model, card=card)), ground.new_model()
    start_from_parent(ground, model, probe, other)
    assert ground.finish("fine_tuned", model, "lp_ft", 1.0, {}).card.backbone == contract


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "architecture": (
        {"architecture": "resnet18"},
        "another backbone (architecture resnet18,",
    ),
    "normalisation": ({"mean": (0.1, 0.2, 0.3)}, "another backbone (mean (0.1, 0.2, 0.3), asked"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_fine_tuned__starts_as_without_a_parent_whose_backbone_does_not_fit_and_says_why(
    ground: Ground, probe: TrainedModel, parent: Standing, start: Start, name: str
) -> None:
    change, message = CHANGES[name]
    card = parent.model.card
    contract = card.backbone.model_copy(update=change)
    changed = card.model_copy(update={"backbone": contract})
    other = replace(parent, model=replace(parent.model, card=changed))
    model = start(ground, probe, other)
    assert state(model.backbone) == state(ground.new_model().backbone)
    assert state(model.head) == state(probe.module.head)
    facts = start_from_parent(ground, ground.new_model(), probe, other)
    assert facts["backbone"].startswith("pre-trained") and message in facts["backbone"]
    assert facts["head"] == "of the probe" and facts["name"] == other.name


def test_fine_tuned__says_so_where_the_head_has_another_shape(
    ground: Ground, probe: TrainedModel, parent: Standing
) -> None:
    module = GraftedModel(ground.new_model().backbone, torch.nn.Linear(7, 3))
    other = replace(parent, model=replace(parent.model, module=module))
    facts = start_from_parent(ground, ground.new_model(), probe, other)
    assert "another head (weight (3, 7), asked for" in facts["backbone"]


@pytest.mark.parametrize("task", VOICES)
def test_parent__of_any_task_comes_back_from_its_folder_and_is_started_from(
    task: str, tmp_path: Path
) -> None:
    ground = lay_scenes(task, tmp_path / "pixels")
    shaken(ground, 3).save(tmp_path / "saved")
    standing = Standing(load_trained(tmp_path / "saved"), ground.rows)
    model = ground.new_model()
    facts = start_from_parent(ground, model, None, standing)
    assert facts["head"] == "of the parent"
    assert state(model) == state(standing.model.module)


def test_fine_tuned__names_the_task_option_by_which_heads_differ(tmp_path: Path) -> None:
    ground = lay_scenes("detection", tmp_path)
    options = ground.task_options.model_copy(update={"pyramid_channels": 8})
    other = Standing(shaken(replace(ground, task_options=options), 3), ground.rows)
    facts = start_from_parent(ground, ground.new_model(), None, other)
    assert "another head" in facts["backbone"]
    assert "(pyramid_channels 8 and 16)" in facts["backbone"] and facts["head"] == "new"


def test_fine_tuned__refuses_a_parent_that_has_learned_from_a_test_image(
    ground: Ground, probe: TrainedModel, parent: Standing, tmp_path: Path
) -> None:
    rows = ground.rows.copy()
    place = rows.index[rows["split"] == "test"][0]
    rows.loc[place, "split"] = "val"
    with pytest.raises(DataError) as raised:
        train_fine_tuned(ground, probe, tmp_path, TUNING, replace(parent, split_manifest=rows))
    assert str(rows["id"][place]) in str(raised.value)
    assert "has learned from 1 of the test images" in str(raised.value)
