"""What shapes a step beside the batch: accumulation, the pull to the start, weights of classes."""

import pytest
import torch
from tiny_training import differing, new_training, state_of
from torch.nn import functional as F

from graft.vision.contenders.ground import Ground
from graft.vision.model import GraftedModel
from graft.vision.task import LossOptions


def way_from_start(ground: Ground, **options: object) -> dict[str, float]:
    """How far head and backbone went, as lengths."""
    model = ground.new_model()
    start = state_of(model)
    new_training(
        ground, model=model, epochs=3, learning_rate=1e-2, weight_decay=0.0, **options
    ).run()
    ways = {"head": 0.0, "backbone": 0.0}
    for name, tensor in model.state_dict().items():
        ways[name.partition(".")[0]] += float((tensor - start[name]).square().sum())
    return ways


def test_l2_sp__pulls_the_backbone_towards_its_start_and_leaves_the_head(ground: Ground) -> None:
    free, pulled, held = (way_from_start(ground, l2_sp=pull) for pull in (0.0, 10.0, 100.0))
    assert held["backbone"] < pulled["backbone"] < free["backbone"]
    assert held["head"] > 0.3 * free["head"]


def test_l2_sp__goes_rate_times_strength_of_the_way_back(ground: Ground) -> None:
    training = new_training(ground, l2_sp=5.0, strategy="full", learning_rate=0.1)
    weight, head = training.model.backbone.model.conv_stem.weight, training.model.head.weight
    start = weight[0, 0, 0, 0].item(), head[0, 0].item()
    weight.grad, head.grad = torch.zeros_like(weight), torch.zeros_like(head)
    with torch.no_grad():
        weight[0, 0, 0, 0] += 2.0
        head[0, 0] += 5.0
    training.steps._pull()
    assert weight[0, 0, 0, 0].item() == pytest.approx(start[0] + 1.0, rel=1e-5)
    assert head[0, 0].item() == pytest.approx(start[1] + 5.0, rel=1e-5)


def gradients(ground: Ground, monkeypatch: pytest.MonkeyPatch, **options: object) -> list[dict]:
    """What each step of the optimiser is given."""
    training, met = new_training(ground, gradient_clip=None, precision="fp32", **options), []
    step = training.steps.optimizer.step

    def watched() -> None:
        met.append({n: p.grad.clone() for n, p in training.model.named_parameters()})
        step()

    monkeypatch.setattr(training.steps.optimizer, "step", watched)
    training.run()
    return met


def test_accumulation__of_two_batches_gives_the_gradient_of_one_twice_as_large(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So small a rate that the second step is taken from the same place.
    one = gradients(ground, monkeypatch, batch_size=12, learning_rate=1e-9)
    two = gradients(ground, monkeypatch, batch_size=6, accumulate=2, learning_rate=1e-9)
    assert len(one) == len(two) == 2
    for mine, theirs in zip(one, two, strict=True):
        for name in mine:
            torch.testing.assert_close(mine[name], theirs[name], rtol=1e-3, atol=1e-5)


def test_accumulation__ends_with_the_same_weights_as_one_batch_twice_as_large(
    ground: Ground,
) -> None:
    options = {"epochs": 2, "learning_rate": 1e-3, "warmup_share": 0.2, "precision": "fp32"}
    one = new_training(ground, batch_size=12, **options).run().model.state_dict()
    two = new_training(ground, batch_size=6, accumulate=2, **options).run().model.state_dict()
    gaps = {name: float((one[name].double() - two[name]).abs().max()) for name in one}
    assert max(gaps.values()) < 1e-5


def test_accumulation__takes_the_mean_of_what_is_left_at_the_end_of_an_epoch(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = gradients(ground, monkeypatch, batch_size=8, accumulate=2, learning_rate=1e-9)
    each = gradients(ground, monkeypatch, batch_size=8, learning_rate=1e-9)
    assert (len(left), len(each)) == (2, 3)
    for name in each[2]:
        torch.testing.assert_close(left[1][name], each[2][name], rtol=1e-3, atol=1e-5)


def test_class_weights__shape_the_loss_as_torch_knows_it(ground: Ground) -> None:
    model: GraftedModel = ground.new_model().eval()
    training = new_training(
        ground, model=model, loss_options=LossOptions(class_weights=(0.2, 1.0, 4.0))
    )
    batch = next(training.batches.epoch(0))
    kinds = torch.tensor([int(truth["targets"].argmax()) for truth in batch.truths])
    with torch.no_grad():
        found = training.task.loss(
            model(batch.views), batch.truths, ground.classes, training.loss_options
        )
        wanted = F.cross_entropy(model(batch.views), kinds, torch.tensor([0.2, 1.0, 4.0]))
    torch.testing.assert_close(found, wanted)


def test_gradient_clip__limits_the_norm_of_each_step(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    training, norms = new_training(ground, gradient_clip=0.01), []
    step = training.steps.optimizer.step

    def watched() -> None:
        grads = [p.grad.norm() for p in training.model.parameters() if p.grad is not None]
        norms.append(float(torch.stack(grads).norm()))
        step()

    monkeypatch.setattr(training.steps.optimizer, "step", watched)
    training.run()
    assert norms and max(norms) <= 0.01 + 1e-6


def test_seed__decides_the_training(ground: Ground) -> None:
    one, same, other = (
        state_of(new_training(ground, learning_rate=1e-2, seed=seed).run().model)
        for seed in (1, 1, 2)
    )
    assert differing(one, same) == set()
    assert differing(one, other) != set()


def test_budget__plans_fewer_epochs_and_keeps_what_was_timed_out_of_the_weights(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurried = new_training(ground, epochs=50, budget_s=1.0, learning_rate=1e-2)
    time_steps = hurried._time_steps
    monkeypatch.setattr(hurried, "_time_steps", lambda: (time_steps(), 0.1)[1])
    trained = hurried.run()
    assert trained.epochs == 2  # three steps and a validation of a few images take 0.3375 s
    plain = new_training(ground, epochs=2, learning_rate=1e-2).run()
    assert differing(state_of(trained.model), state_of(plain.model)) == set()
