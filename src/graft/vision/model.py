"""A backbone with a head, and the same once trained: with all it takes to predict from a file."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from safetensors.torch import save
from torch import nn

from graft.vision.backbones.backbone import Backbone
from graft.vision.backbones.contract import WeightsContract
from graft.vision.backbones.pyramid import Pyramid
from graft.vision.backbones.weight_files import read_weights
from graft.vision.errors import TrainingError, WeightsError
from graft.vision.memory import AtOnce
from graft.vision.options import Options, TaskOptions
from graft.vision.preprocessing import Preprocessing, view_of
from graft.vision.records import Array, digest_of
from graft.vision.task import ClassTable, Task
from graft.vision.tiles import frames_of, views_of

Features = torch.Tensor | tuple[torch.Tensor, ...]


class GraftedModel(nn.Module):
    """uint8 views in, task outputs out.

    ``forward(views)`` takes (N, C, S, S) uint8 and is ``head(features(views))``; the
    normalisation of the weights' contract is part of the graph.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, backbone: Backbone, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        mean, std = backbone.mean, backbone.std
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    @property
    def stages(self) -> tuple[str, ...]:
        """Stage names from the stem to the head, in the order data meets them."""
        return (*self.backbone.stages, "head")

    def stage_of(self, parameter: str) -> str:
        """The stage of a parameter or buffer, by its full name in this model."""
        part, _, rest = parameter.partition(".")
        return "head" if part == "head" else self.backbone.stage_of(rest)

    def features(self, views: torch.Tensor) -> Features:
        """What the head takes of (N, C, S, S) uint8 views: (N, D) pooled, or a tuple of maps."""
        scaled = (views.to(self.mean.dtype) / 255.0 - self.mean) / self.std
        return self.backbone(scaled)

    def flat_features(self, views: torch.Tensor) -> torch.Tensor:
        """(N, D) features of (N, C, S, S) uint8 views; maps are laid end to end."""
        found = self.features(views)
        if isinstance(found, torch.Tensor):
            return found
        return torch.cat([maps.flatten(1) for maps in found], dim=1)

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(views))


class HeadOnFeatures(nn.Module):
    """The head of a model, fed with what `GraftedModel.flat_features` gave.

    ``forward(features)`` takes (N, D); the head is the model's own, so that what it learns is
    learned by the model.
    """

    stages = ("head",)

    def __init__(self, model: GraftedModel, size_px: int) -> None:
        super().__init__()
        self.head = model.head
        pyramid = model.backbone if isinstance(model.backbone, Pyramid) else None
        self._shapes = pyramid.map_shapes(size_px) if pyramid else []

    def stage_of(self, parameter: str) -> str:
        """Always the head."""
        return "head"

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = features.float()
        if not self._shapes:
            return self.head(features)
        parts = features.split([math.prod(shape) for shape in self._shapes], dim=1)
        return self.head(
            tuple(part.unflatten(1, shape) for part, shape in zip(parts, self._shapes, strict=True))
        )


Learner = GraftedModel | HeadOnFeatures
"""What the training loop trains."""


class ModelCard(Options):
    """What is known of a trained model, and all it takes to rebuild it from its weights."""

    task: str
    contender: str
    """Which one it is: probe, fine_tuned or scratch."""
    classes: ClassTable
    task_options: dict[str, object]
    backbone: WeightsContract
    preprocessing: Preprocessing
    decoding: dict[str, object]
    """Options of `graft.vision.data.decoding.DecodingOptions`: serving decodes as training did."""
    temperature: float = 1.0
    strategy: str
    seed: int
    data_digest: str
    minutes: float
    """Wall time that this model took beyond what came before it."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """What else should be known: frozen-stage digests, epochs, best epoch, machine class."""

    @property
    def identity(self) -> str:
        """Digest of what a model is, without the minutes and facts of how it came to be."""
        return digest_of(self.model_dump(mode="json", exclude={"minutes", "facts"}))


@dataclass
class TrainedModel:
    """A model with its card; predicts from upright pixels."""

    card: ModelCard
    module: GraftedModel
    task: Task

    def outputs(
        self, images: Iterable[Array], batch_size: int = 16, plain: bool = False
    ) -> torch.Tensor:
        """Raw outputs of upright HxWxC uint8 pixels, one row per view that a prediction takes.

        Where a model computes what is not finite, its outputs say so (`check_finite`).

        ``plain``: of the one plain view of each image alone, which differs where images are tiled.
        Raises `ResourceError` where memory does not hold one view.
        """
        views = self._views(images, plain)
        self.module.eval()
        device = next(self.module.parameters()).device
        at_once = AtOnce(self.card.contender, batch_size)

        def compute(part: torch.Tensor) -> torch.Tensor:
            said: torch.Tensor = self.module(part.to(device)).float().cpu()
            return said

        with torch.inference_mode():
            chunks = [
                at_once.computed(compute, as_tensor(batch)) for batch in _batches(views, batch_size)
            ]
        if chunks:
            return torch.cat(chunks)
        view = self.card.preprocessing
        blank = torch.zeros(1, view.channels, view.size_px, view.size_px, dtype=torch.uint8)
        with torch.inference_mode():
            return self.module(blank.to(device))[:0].float().cpu()

    def predict(
        self, images: Sequence[Array], sizes_px: Sequence[tuple[int, int]] | None = None
    ) -> pd.DataFrame:
        """One row per image of upright pixels, calibrated by the card's temperature.

        ``sizes_px``: width and height of each upright original, in whose pixels boxes and masks
        are stated; the images' own when None.

        Raises:
            TrainingError: where outputs are not finite; it names the images by their place.
        """
        sizes = sizes_px or [(pixels.shape[1], pixels.shape[0]) for pixels in images]
        by_place = [
            frames_of(pixels.shape, *size, self.card.preprocessing)
            for pixels, size in zip(images, sizes, strict=True)
        ]
        frames = [frame for seen in by_place for frame in seen]
        outputs = self.outputs(images)
        names = [f"number {place + 1}" for place, seen in enumerate(by_place) for _ in seen]
        check_finite(outputs, names, self.card.contender)
        return self.task.predict(outputs, self.card.classes, self.card.temperature, frames)

    def _views(self, images: Iterable[Array], plain: bool) -> Iterator[Array]:
        for pixels in images:
            if plain:
                yield view_of(pixels, self.card.preprocessing)
            else:
                yield from views_of(pixels, self.card.preprocessing)

    def save(self, folder: Path) -> None:
        """Write ``model.safetensors`` and ``card.json``; a folder already there is replaced."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: tensor.contiguous() for name, tensor in self.module.state_dict().items()}
        (folder / "model.safetensors.part").write_bytes(save(state))  # by the umask: others read it
        (folder / "model.safetensors.part").replace(folder / "model.safetensors")
        text = json.dumps(self.card.model_dump(mode="json"), indent=2, sort_keys=True)
        (folder / "card.json").write_text(text)


def odd_names(outputs: torch.Tensor, names: Sequence[str]) -> list[str]:
    """Of (V, ...) outputs and the image of each, the images whose outputs are not finite."""
    odd = ~outputs.flatten(1).isfinite().all(dim=1)
    pairs = zip(names, odd.tolist(), strict=True)
    return list(dict.fromkeys(name for name, is_odd in pairs if is_odd))


def check_finite(outputs: torch.Tensor, names: Sequence[str], contender: str) -> None:
    """Raise `TrainingError` where (V, ...) outputs are not finite; ``names``: of each its image."""
    if odd := odd_names(outputs, names):
        raise TrainingError(
            f"{contender}: its outputs for some images are not finite",
            found=first_names(odd),
            mend="look at these images; if they are sound, train again at a lower learning rate",
        )


def first_names(names: Sequence[str]) -> str:
    """The first four, and how many more there are."""
    return f"{', '.join(names[:4])} and {max(0, len(names) - 4)} more"


def load_model(folder: Path, task: Task, task_options: TaskOptions) -> TrainedModel:
    """Rebuild a trained model from its folder; no file in it can run code."""
    card = read_card(folder)
    backbone = Backbone.empty(card.backbone)
    module = task.build_model(backbone, card.classes, task_options)
    state = read_weights(folder / "model.safetensors", None)
    missing, unexpected = module.load_state_dict(state, strict=False)
    if missing or unexpected:
        raise WeightsError(
            f"weights in {folder} do not fit the model on their card",
            found=f"missing {sorted(missing)[:3]}, unexpected {sorted(unexpected)[:3]}",
            mend="register the model again from its run",
        )
    module.eval()
    return TrainedModel(card, module, task)


def read_card(folder: Path) -> ModelCard:
    """Read ``card.json``. Raises `WeightsError` where it is no JSON."""
    try:
        record = json.loads((folder / "card.json").read_bytes())
    except (ValueError, RecursionError) as error:
        raise WeightsError(
            f"{folder / 'card.json'} cannot be read",
            found=f"{type(error).__name__}: {str(error)[:120]}",
            mend="register the model again from its run",
        ) from error
    return ModelCard.from_record(record)


def as_tensor(views: Sequence[Array]) -> torch.Tensor:
    """Stack HxWxC uint8 views to a (N, C, H, W) tensor laid out channels-last; flat features to
    (N, D)."""
    stacked = torch.from_numpy(np.stack(views))
    return stacked.permute(0, 3, 1, 2) if stacked.dim() == 4 else stacked


def _batches(views: Iterable[Array], size: int) -> Iterable[list[Array]]:
    batch: list[Array] = []
    for view in views:
        batch.append(view)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
