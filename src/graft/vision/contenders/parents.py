"""Training that starts from a standing model, its parent, in place of the pre-trained backbone.

What a model starts from it has learned from: so no test image may be one that its parent knew from
training.
"""

import logging
from typing import Any, Protocol

import pandas as pd
import torch

from graft.vision.contenders.ground import Ground
from graft.vision.errors import DataError
from graft.vision.model import GraftedModel, TrainedModel

log = logging.getLogger("graft")
CONTRACT = ("architecture", "channels", "mean", "std")
"""What of a backbone's contract decides whether another's weights mean the same in it."""
OF_THE_PARENT = "of the parent"


class Parent(Protocol):
    """A standing model that a training starts from."""

    @property
    def name(self) -> str:
        """``NAME/VERSION``."""

    @property
    def weights_sha256(self) -> str:
        """Of its weight file."""

    @property
    def split_manifest(self) -> pd.DataFrame:
        """At least ``id``, ``sha256``, ``split`` of all that it knew, and those it started from."""

    @property
    def model(self) -> TrainedModel:
        """Itself."""


def start_from_parent(
    ground: Ground, model: GraftedModel, probe: TrainedModel | None, parent: Parent
) -> dict[str, Any]:
    """Give ``model`` the parent's weights, in place; returns what its card should say of it.

    Where the classes are the same the whole network is the parent's. Where they differ its
    backbone is, and the head is the probe's, or new where no probe is given. The backbone's
    contract becomes the parent's, since its weights descend from there. Where conf asks for
    another backbone or head the weights do not fit: then the model starts as one without a parent
    does, which is said, and keeps the parent's split alone.

    Raises:
        DataError: where the parent has learned from a test image of the ground.
    """
    found = parent.model
    _check_test(ground, parent)
    said = {"name": parent.name, "weights_sha256": parent.weights_sha256}
    whole = found.card.classes == ground.classes
    unfit = _unfit(ground, model, found, whole=whole)
    if probe is not None and (unfit or not whole):
        model.head.load_state_dict(probe.module.head.state_dict())
    other = "of the probe" if probe is not None else "new"
    if unfit:
        log.warning("training cannot start from %s: it has another %s", parent.name, unfit)
        return {**said, "backbone": f"pre-trained: the parent has another {unfit}", "head": other}
    if whole:
        model.head.load_state_dict(found.module.head.state_dict())
    model.backbone.load_state_dict(found.module.backbone.state_dict())
    model.backbone.contract = found.card.backbone
    return {**said, "backbone": OF_THE_PARENT, "head": _head(found, ground, other, whole)}


def _head(found: TrainedModel, ground: Ground, otherwise: str, whole: bool) -> str:
    if whole:
        return OF_THE_PARENT
    before, now = (", ".join(table.names) for table in (found.card.classes, ground.classes))
    return f"{otherwise}: the parent tells {before}, and this model {now}"


def _check_test(ground: Ground, parent: Parent) -> None:
    known = parent.split_manifest
    learned = set(known.loc[known["split"] != "test", "sha256"])
    test = ground.split("test")
    seen = sorted(test.loc[test["sha256"].isin(learned), "id"])
    if seen:
        raise DataError(
            f"{parent.name} has learned from {len(seen)} of the test images",
            found=", ".join(seen[:5]),
            allowed="a split in which what the parent knew keeps its side",
            mend="run ingestion with the same parent, before training",
        )


def _unfit(ground: Ground, model: GraftedModel, found: TrainedModel, *, whole: bool) -> str | None:
    """What of the parent does not fit, with what it has and what is asked for; None if all does."""
    for name in CONTRACT:
        theirs, ours = getattr(found.card.backbone, name), getattr(model.backbone.contract, name)
        if theirs != ours:
            return f"backbone ({name} {theirs}, asked for {ours})"
    options = _options(ground, found)
    pairs: dict[str, tuple[torch.nn.Module, torch.nn.Module]] = {
        "backbone": (model.backbone, found.module.backbone)
    }
    if whole:
        pairs["head"] = (model.head, found.module.head)
    odd = (_other_shape(what, *pair) for what, pair in pairs.items())
    first = next(filter(None, odd), None)
    return first and first + options


def _other_shape(what: str, ours: torch.nn.Module, theirs: torch.nn.Module) -> str | None:
    shapes, others = (
        {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
        for module in (ours, theirs)
    )
    if shapes == others:
        return None
    name = min(n for n in {*shapes, *others} if shapes.get(n) != others.get(n))
    there, here = (known.get(name, "missing") for known in (others, shapes))
    return f"{what} ({name} {there}, asked for {here})"


def _options(ground: Ground, found: TrainedModel) -> str:
    """The task's options that differ: what most often makes shapes differ."""
    now, before = ground.task_options.model_dump(mode="json"), found.card.task_options
    odd = [f"{n} {before.get(n)} and {value}" for n, value in now.items() if before.get(n) != value]
    return f" with other task options ({'; '.join(odd)})" if odd else ""
