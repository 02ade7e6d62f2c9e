"""What a training's frozen stages give of its views: computed once, then stored and read.

The views are those that the policy draws for epochs -1, -2, ..., as for frozen features; the model
then trains from what is stored of them, and is the one it would be without the store, up to
rounding.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from graft.vision.ahead import made_ahead
from graft.vision.augmentation.sampling import Augmenter
from graft.vision.backbones.weights import digest_state
from graft.vision.contenders.ground import Ground
from graft.vision.errors import OptionsError
from graft.vision.memory import AtOnce
from graft.vision.model import GraftedModel, as_tensor
from graft.vision.records import Array, Truth, digest_of, named_rows
from graft.vision.store import ArrayStore
from graft.vision.training.after_frozen import AfterFrozen
from graft.vision.training.batches import Batch
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.precision import Precision
from graft.vision.training.strategies import always_frozen

RULE = "frozen-outputs-3"
"""Changes with what equal names stand for in the store."""
BATCH = 32


@dataclass(frozen=True)
class View:
    """One view of one row: number 0 is the plain one. ``key`` names what is stored of it."""

    row: Any
    number: int
    truth: Truth
    key: str


@dataclass(frozen=True)
class FrozenOutputs:
    """Stored outputs of training and validation views, and the model that starts from them.

    ``computed``: how many of the views the store lacked.
    """

    model: AfterFrozen
    store: ArrayStore
    views: Mapping[int, Sequence[View]]
    validation_views: Sequence[View]
    computed: int

    def sample(self, place: int, epoch: int) -> tuple[Array, Truth]:
        """(D,) stored outputs of the view whose turn it is, with the truth that lies in it."""
        view = self.views[1 + epoch % len(self.views)][place]
        return self.store.read(view.key), self._truth(view)

    def validation(self) -> Iterator[Batch]:
        """The same of the plain views of the validation split, in order."""
        for start in range(0, len(self.validation_views), BATCH):
            chunk = self.validation_views[start : start + BATCH]
            stored = as_tensor([self.store.read(view.key) for view in chunk])
            yield Batch(stored, [self._truth(view) for view in chunk], [v.row.id for v in chunk])

    def _truth(self, view: View) -> Truth:
        # Copies: torch warns of arrays that may not be written to.
        return {name: self.store.read(f"{view.key}/{name}").copy() for name in view.truth}


def store_frozen_outputs(
    ground: Ground, model: GraftedModel, folder: Path, options: FineTuningOptions
) -> FrozenOutputs:
    """Compute what the store below ``folder`` lacks; a second call computes nothing.

    Raises:
        OptionsError: where no stage is frozen, or views are changed after they are drawn.
        HarmonyError: where the backbone cannot start after its frozen stages.
    """
    frozen = always_frozen(model, options)
    _check(options, frozen)
    precision = Precision(options)
    after = AfterFrozen(model, frozen, ground.preprocessing.size_px, precision)
    rule = _rule(ground, after, frozen)
    store = ArrayStore(folder / "frozen_outputs", digest_of(rule)[:24], rule)
    train, val = ground.split("train"), ground.split("val")
    views = {n: _views(ground, train, n) for n in range(1, options.stored_views + 1)}
    plain = _views(ground, val, 0)
    every = [view for chunk in (*views.values(), plain) for view in chunk]
    missing = set(store.missing(view.key for view in every))
    todo = list({view.key: view for view in every if view.key in missing}.values())
    if todo:
        _compute(ground, after, store, todo, options.workers)
    return FrozenOutputs(after, store, views, plain, len(todo))


def _check(options: FineTuningOptions, frozen: Sequence[str]) -> None:
    changing = [
        f"fine_tuning.{name}: {getattr(options, name)}"
        for name in ("mixup_alpha", "cutmix_alpha", "sizes_px")
        if getattr(options, name)
    ]
    if not frozen:
        raise OptionsError(
            "fine_tuning.stored_views needs stages that never learn",
            found=f"strategy: {options.strategy}, frozen_stages: {options.frozen_stages}",
            mend="set fine_tuning.frozen_stages, or stored_views to 0",
        )
    if changing:
        raise OptionsError(
            "what frozen stages give of views cannot be mixed or shrunk as views can",
            found=", ".join(changing),
            mend="leave these out, or set fine_tuning.stored_views to 0",
        )


def _rule(ground: Ground, model: AfterFrozen, frozen: Sequence[str]) -> dict[str, Any]:
    """How outputs are made: other weights, views or precision, other outputs."""
    state = model.state_dict()
    weights = {name: tensor for name, tensor in state.items() if model.stage_of(name) in frozen}
    return {
        "rule": RULE,
        "torch": torch.__version__,
        "precision": "bf16" if model.precision.is_bf16 else "fp32",
        "decoding": ground.pixels.options.digest,
        "view": ground.preprocessing.digest,
        "policy": ground.policy,
        "seed": ground.seed,
        "task": ground.task.name,
        "classes": ground.classes.model_dump(mode="json"),
        "architecture": model.backbone.contract.architecture,
        "maps": getattr(model.backbone, "reductions", None),
        "frozen": list(frozen),
        "weights": digest_state(weights),
    }


def _views(ground: Ground, rows: pd.DataFrame, number: int) -> list[View]:
    # What a policy draws depends on the sample's id, and may on where objects are.
    return [
        View(row, number, truth, digest_of([row.sha256, row.id, row.truth, number]))
        for row, truth in zip(named_rows(rows), ground.truths(rows), strict=True)
    ]


def _compute(
    ground: Ground, model: AfterFrozen, store: ArrayStore, todo: Sequence[View], workers: int | None
) -> None:
    """Views are drawn by threads while the frozen stages work on the batch before."""
    drawn = Augmenter(ground.policy, ground.task, ground.seed)

    def draw(view: View) -> tuple[Array, Truth]:
        augmenter = drawn if view.number else ground.plain
        pixels = ground.pixels.read(view.row.sha256)
        return augmenter(pixels, view.truth, -view.number, view.row.id)

    chunks = [todo[start : start + BATCH] for start in range(0, len(todo), BATCH)]
    at_once = AtOnce("frozen outputs", BATCH)
    with store.writer() as writer:
        for chunk, made in zip(chunks, made_ahead(draw, chunks, workers), strict=True):
            views = model.precision.put(_filled(as_tensor([pixels for pixels, _ in made])))
            outputs = at_once.computed(model.frozen_outputs, views).cpu().numpy()
            for view, output, (_, truth) in zip(chunk, outputs, made, strict=False):
                # Truths first: a key that is there has all that belongs to it.
                for name, array in truth.items():
                    writer.add(f"{view.key}/{name}", array)
                writer.add(view.key, output)


def _filled(views: torch.Tensor) -> torch.Tensor:
    """A batch of one size always: kernels chosen by size would give other last bits."""
    filled = torch.zeros(BATCH, *views.shape[1:], dtype=views.dtype)
    filled[: len(views)] = views
    return filled.contiguous(memory_format=torch.channels_last)
