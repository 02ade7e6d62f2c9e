"""When forward and backward pass may be captured as graphs, and what is done where they may not.

The graphs themselves need a GPU. Here a stand-in runs the plain pass, or one that is wrong.
"""

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from learning_scenes import lay_learning_scenes
from short_memory import hold_norms
from tiny_ground import lay_tiny_ground
from tiny_training import (
    batches_of,
    differing,
    history_of,
    new_training,
    options_of,
    state_of,
)

from graft.vision.backbones.freezing import set_training_mode
from graft.vision.contenders.ground import Ground
from graft.vision.model import GraftedModel
from graft.vision.task import LossOptions
from graft.vision.training import captured
from graft.vision.training.captured import (
    COMPILING_PAYS,
    Captured,
    capture,
    compiling_pays,
    views_like,
    why_plain,
)
from graft.vision.training.compared import apart, gradients_by
from graft.vision.training.gradients import Gradients
from graft.vision.training.precision import Precision
from graft.vision.training.sizes import size_at

Run = Callable[[torch.Tensor], torch.Tensor]


@pytest.fixture
def model(ground: Ground) -> GraftedModel:
    found = ground.new_model()
    set_training_mode(found, found.stages, batch_norm_moves=False)
    return found


@pytest.fixture
def views(ground: Ground) -> torch.Tensor:
    return views_like(batches_of(ground, options_of()).example(), 8)


PRECISION = Precision(options_of(precision="fp32"))


def plain(*given: Any, compiled: bool) -> Run:
    model, precision, _ = given
    return captured._Pass(model, precision)


def stale(*given: Any, compiled: bool) -> Run:
    """One that goes on with the views it was captured with."""
    run = plain(*given, compiled=compiled)
    return lambda views: run(given[2])


def steep(*given: Any, compiled: bool) -> Run:
    """One whose gradients are 3 % too long."""
    run = plain(*given, compiled=compiled)

    def longer(views: torch.Tensor) -> torch.Tensor:
        found = run(views)
        return found + 0.03 * (found - found.detach())

    return longer


def failing(*given: Any, compiled: bool) -> Run:
    raise RuntimeError("operation not permitted when stream is capturing")


def test_pass__is_the_plain_one_to_the_bit(ground: Ground, views: torch.Tensor) -> None:
    model = lay_model_with_dropout(ground)
    for kind in ("fp32", "bf16"):
        precision = Precision(options_of(precision=kind))
        torch.manual_seed(0)
        with precision.around(model):
            wanted = model(views)
        torch.manual_seed(0)
        assert torch.equal(captured._Pass(model, precision)(views), wanted)
        run = plain(model, precision, views, compiled=False)
        assert captured._excess(model, precision, run, views, compiled=False) == 0
        torch.manual_seed(0)
        with PRECISION.around(model):
            in_fp32 = model(views)
        torch.manual_seed(0)
        assert torch.equal(captured._Pass(model, precision, exact=True)(views), in_fp32)


def lay_model_with_dropout(ground: Ground) -> GraftedModel:
    found = ground.new_model()
    found.head.dropout = 0.3  # type: ignore[assignment]
    set_training_mode(found, found.stages, batch_norm_moves=False)
    return found


@pytest.mark.parametrize(
    ("graphs", "compiles", "used", "said"),
    [
        (plain, False, True, ["run as CUDA graphs"]),
        (plain, True, True, ["run compiled, and as CUDA graphs"]),
        (stale, False, False, ["not run as CUDA graphs, for gradients lie "]),
        (failing, False, False, ["not run as CUDA graphs, for RuntimeError: operation not"]),
        (failing, True, False, ["not run compiled, and as CUDA", "not run as CUDA graphs, for"]),
        (steep, True, False, ["not run compiled, and as CUDA", "not run as CUDA graphs, for"]),
    ],
)
def test_capture__is_used_where_gradients_are_the_plain_ones_and_says_so(
    model: GraftedModel,
    views: torch.Tensor,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    graphs: Callable[..., Run],
    compiles: bool,
    used: bool,
    said: list[str],
) -> None:
    monkeypatch.setattr(captured, "_graphs", graphs)
    drawn = torch.get_rng_state()
    with caplog.at_level(logging.INFO, logger="graft"):
        found = capture("tiny", model, PRECISION, views, compiles=compiles)
    assert (found is not None) == used
    told = [record.getMessage() for record in caplog.records]
    assert all(line.startswith(f"    tiny: {text}") for line, text in zip(told, said, strict=True))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(parameter.grad is None for parameter in model.parameters())


def test_compiled_passes__may_round_elsewhere_and_no_more(
    model: GraftedModel, views: torch.Tensor
) -> None:
    in_bf16 = Precision(options_of(precision="bf16"))
    for run, least, most in (
        (captured._Pass(model, PRECISION), -1.0, 0.0),  # nearer to fp32 than the plain ones
        (stale(model, in_bf16, views, compiled=True), 0.1, 9.0),
    ):
        off = captured._excess(model, in_bf16, run, captured.unlike(views), compiled=True)
        assert least <= off <= most
    found = apart(model, *(gradients_by(run, model, views) for run in (run, run)))
    assert found == dict.fromkeys(model.stages, 0.0)


def test_capture__is_left_where_batch_norm_learns_or_a_detector_trains(
    ground: Ground, model: GraftedModel, views: torch.Tensor, tmp_path: Any
) -> None:
    assert why_plain(model, PRECISION, views) is None
    set_training_mode(model, model.stages, batch_norm_moves=True)
    assert str(why_plain(model, PRECISION, views)).startswith("BatchNorm learns from each batch (")
    scenes = lay_learning_scenes("detection", tmp_path)
    detector = scenes.new_model()
    set_training_mode(detector, detector.stages, batch_norm_moves=False)
    hold_norms(detector.head)
    example = views_like(batches_of(scenes, options_of()).example(), 2)
    assert why_plain(detector, PRECISION, example) == "the model gives more than one tensor"


class OnGPU(Precision):
    """Says that it is one."""

    @property
    def device(self) -> torch.device:
        return torch.device("cuda")

    def put(self, views: torch.Tensor) -> torch.Tensor:
        return views

    def chance(self) -> Callable[[], None]:
        return lambda: None


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.Size]]:
    """The shapes of views that were captured, each with a run that counts itself."""
    shapes: list[torch.Size] = []

    def noted(name: str, model: GraftedModel, *given: Any, compiles: bool) -> Captured:
        shapes.append(given[1].shape)
        return Captured(model.forward, given[1].shape, given[1].dtype)

    monkeypatch.setattr("graft.vision.training.gradients.capture", noted)
    yield shapes


def gradients_of(ground: Ground, model: GraftedModel, **more: object) -> Gradients:
    options = options_of(precision="fp32", **more)
    return Gradients(
        "tiny", ground.task, ground.classes, model, OnGPU(options), LossOptions(), options
    )


def test_gradients__capture_anew_when_what_learns_or_the_size_changes(
    ground: Ground, model: GraftedModel, counted: list[torch.Size]
) -> None:
    gradients, example = gradients_of(ground, model), batches_of(ground, options_of()).example()
    for epoch, stages in enumerate(["a", "a", "b", "b", "b", "b"]):
        size_px = size_at(epoch, 6, (16, 32))
        gradients.prepare(views_like(example, 8, size_px), stages, compiles=False)
        assert gradients.captured is not None
    assert [shape[2] for shape in counted] == [16, 16, 32]
    set_training_mode(model, model.stages, batch_norm_moves=True)
    gradients.prepare(views_like(example, 8), "b", compiles=False)
    assert len(counted) == 4
    set_training_mode(model, model.stages, batch_norm_moves=False)
    gradients.captured = None
    gradients._take_less("", 8)
    gradients.prepare(views_like(example, 8), "c", compiles=False)
    assert gradients.captured is None and len(counted) == 4  # memory does not hold the batch


def test_gradients__of_several_batches_are_gathered_without_graphs(
    ground: Ground, model: GraftedModel, counted: list[torch.Size]
) -> None:
    gradients = gradients_of(ground, model, accumulate=2)
    gradients.prepare(
        views_like(batches_of(ground, options_of()).example(), 8), "a", compiles=False
    )
    assert gradients.captured is None and counted == []


def test_gradients__run_the_graph_for_batches_that_fit_it_alone(
    ground: Ground, model: GraftedModel
) -> None:
    gradients, runs = gradients_of(ground, model), []

    def run(views: torch.Tensor) -> torch.Tensor:
        runs.append(len(views))
        return model(views)

    gradients.precision = PRECISION
    whole, small = (
        next(batches_of(ground, options_of(batch_size=size)).epoch(0)) for size in (8, 3)
    )
    gradients.captured = Captured(run, whole.views.shape, whole.views.dtype)
    for batch in (whole, small):
        assert gradients.add(batch, None) > 0
    assert runs == [8]


class _Replayed(torch.autograd.Function):
    """What torch makes of a graph, by plain passes: outputs and gradients lie where those of the
    next step will, and are written over."""

    @staticmethod
    def forward(ctx: Any, still: "Still", views: torch.Tensor, *learning: torch.Tensor) -> Any:
        ctx.still = still
        return still.forward(views)

    @staticmethod
    def backward(ctx: Any, *given: torch.Tensor) -> Any:
        return None, None, *ctx.still.backward(given[0])


class Still:
    """The static tensors of a graph."""

    def __init__(self, run: Run, model: GraftedModel, views: torch.Tensor) -> None:
        self.run, self.learning = run, list(model.parameters())
        self.views = views.clone()
        self.outputs = torch.zeros_like(run(views)).detach()
        self.gradients = [torch.zeros_like(parameter) for parameter in self.learning]

    def __call__(self, views: torch.Tensor) -> Any:
        return _Replayed.apply(self, views, *self.learning)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        self.views.copy_(views)
        with torch.enable_grad():
            self.found = self.run(self.views)
        self.outputs.copy_(self.found.detach())
        return self.outputs.detach()

    def backward(self, given: torch.Tensor) -> list[torch.Tensor]:
        found = torch.autograd.grad(self.found, self.learning, given)
        for still, gradient in zip(self.gradients, found, strict=True):
            still.copy_(gradient)
        return [still.detach() for still in self.gradients]


@pytest.mark.parametrize("more", [{}, {"l2_sp": 0.1, "mixup_alpha": 0.3}, {"patience": 1}])
def test_training__by_gradients_that_are_written_over_is_the_same_to_the_bit(
    ground: Ground, more: dict[str, float]
) -> None:
    options = {"epochs": 3, "ema_decay": 0.9, "learning_rate": 5e-3, **more}
    wanted = new_training(ground, **options).run()
    training = new_training(ground, **options)
    training.steps.reads_late = True  # as on a GPU
    model, views = training.model, views_like(training.batches.example(), 8)
    set_training_mode(model, model.stages, batch_norm_moves=False)
    run = Still(captured._Pass(model, training.precision), model, views)
    training.gradients.captured = Captured(run, views.shape, views.dtype)
    found = training.run()
    assert found.epochs == wanted.epochs and training.gradients.captured is None
    assert differing(state_of(found.model), state_of(wanted.model)) == set()
    assert history_of(found) == history_of(wanted)


@pytest.mark.parametrize(
    ("said", "steps", "wanted"),
    [
        ("auto", COMPILING_PAYS, True),
        ("auto", COMPILING_PAYS - 1, False),
        ("always", 1, True),
        ("never", 1 << 30, False),
    ],
)
def test_compiling__is_for_trainings_that_pay_for_it(said: str, steps: int, wanted: bool) -> None:
    assert compiling_pays(options_of(compile=said), steps) is wanted


@pytest.mark.parametrize("size_px", [None, 16])
def test_views_like__are_a_batch_of_different_ones(tmp_path: Any, size_px: int | None) -> None:
    batches = batches_of(lay_tiny_ground(tmp_path), options_of())
    found, batch = views_like(batches.example(), 8, size_px), next(batches.epoch(0, size_px))
    assert (found.shape, found.dtype) == (batch.views.shape, batch.views.dtype)
    assert found.stride() == batch.views.stride()
    assert len({view.contiguous().numpy().tobytes() for view in found}) == 8
