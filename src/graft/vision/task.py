"""The shape that every task has. Loop and evaluation see this and cannot name a task."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from graft.vision.options import Options, TaskOptions
from graft.vision.preprocessing import Frame
from graft.vision.records import Array, MaskReader, Truth

if TYPE_CHECKING:
    from graft.vision.backbones.backbone import Backbone
    from graft.vision.model import GraftedModel


class ClassTable(Options):
    """The classes of a case, in the order of the model's outputs.

    ``exclusive``: an image (or box, or pixel) has exactly one of them; false for multi-label.
    """

    names: tuple[str, ...] = Field(strict=False)
    exclusive: bool = True

    def __len__(self) -> int:
        return len(self.names)


class LossOptions(Options):
    """What shapes a loss beside outputs and truth."""

    label_smoothing: float = 0.0
    class_weights: tuple[float, ...] | None = None


@dataclass(frozen=True)
class Shown:
    """One image as a report shows it: ``picture`` (truth), ``companion`` (prediction) beside it."""

    picture: Array
    caption: str
    companion: Array | None = None


class Metrics(Protocol):
    """Scores of one table of predictions; higher is better for the primary metric.

    Built once per table, then asked for many resamples of its rows (the bootstrap).
    """

    def scores(self, rows: Array | None = None) -> dict[str, float]:
        """Scores over these row numbers (repeats allowed; all when None); NaN where undefined."""

    def per_class(self) -> pd.DataFrame:
        """One row per class: ``class``, ``images``, then scores; NaN where undefined."""

    def confusion(self) -> pd.DataFrame:
        """Counts, truth in rows (index) and prediction in columns."""

    def image_scores(self) -> Array:
        """(N,) float in 0..1 per row, 1 for a perfect prediction; NaN where undefined."""

    def reliability(self) -> tuple[Array, Array]:
        """Confidences in 0..1, and whether each was right (0 or 1), over all that was said."""

    def show(self, row: int, pixels: Array) -> Shown:
        """Truth beside prediction on upright (H, W, C) uint8 pixels of any scale."""


@dataclass(frozen=True)
class Figure:
    """What a task shows in reports beside what every task has.

    Attributes:
        caption: how to read it, in a line.
        kind: ``table``: rows by their first column. ``lines``: columns name, x and y, both in 0..1.
            ``dots``: columns x and y in one unit, and how many lie there; on the diagonal they
            agree. The names of columns are shown; NaN is what is undefined.
    """

    title: str
    caption: str
    kind: Literal["table", "lines", "dots"]
    table: pd.DataFrame


@dataclass(frozen=True)
class Evidence:
    """What a heat map explains: ``speaks`` makes a scalar of a model's (1, ...) outputs."""

    of: str
    speaks: Callable[[torch.Tensor], torch.Tensor]


@runtime_checkable
class Illustrated(Protocol):
    """`Metrics` that explain themselves in reports; a task may do without."""

    def figures(self) -> Sequence[Figure]:
        """In the order in which they are shown."""

    def words(self) -> Mapping[str, str]:
        """A line on each score, by its name, and on parts of the report that want their own words
        here: ``confusion``, ``by_class``, ``calibration``, ``pictures``, ``attention``."""

    def legend(self) -> Mapping[str, tuple[int, int, int]]:
        """The RGB of what is drawn by `Metrics.show`."""

    def evidence(self, row: int) -> Evidence:
        """What a heat map of this row's image should explain."""


@dataclass(frozen=True)
class StatedObject:
    """A part of an image that has a class of its own, by what annotators said.

    Attributes:
        class_id: in the class table.
        box_xyxy: in px of the upright original.
        grid: (h, w) bool, laid evenly over the box: where the object is. One cell is all of it.
    """

    class_id: int
    box_xyxy: tuple[float, float, float, float]
    grid: Array = field(default_factory=lambda: np.ones((1, 1), bool))


def no_objects(truth: Truth, width_px: int, height_px: int) -> Sequence[StatedObject]:
    """Those of a task that says one thing of an image."""
    return ()


@dataclass(frozen=True, slots=True)
class Task:
    """One row of the table of tasks: module-level functions, no inheritance.

    Attributes:
        name: as in conf and file names.
        primary_metric: the score that verdicts and promotions are about; larger is better.
        class_metric: of the scores per class the one by which classes are told apart.
        compose_options: () -> keyword arguments for ``albumentations.Compose``.
        transform: (compose, pixels, truth) -> (pixels, truth); pixels HxWxC uint8. The truth that
            comes out lies in the pixels that come out.
        read_truth: (truth texts of the manifest, classes, masks) -> one `Truth` per text;
            ``masks`` reads what a text points at by digest. Each truth has ``targets``: (C,)
            float32, 1 for each class that is there.
        build_model: (backbone, classes, task options) -> `GraftedModel` with a new head.
        loss: (outputs of the model, truths of the batch, classes, options) -> scalar tensor; NaN
            for outputs of a model in evaluation mode that tell no loss.
        predict: (outputs, classes, temperature, frames) -> one row per image with at least
            ``prediction`` and ``score`` (0..1), then what the task adds. ``frames`` say how each
            view lies in its upright original, in whose pixels predictions speak. Of a tiled image
            there are several (`tiles.by_image`), unless the options' ``fitted_to`` refuses tiles.
        new_metrics: (predictions table, classes) -> `Metrics`; the table has the columns of
            ``predict`` and ``truth``, in the words of `graft.vision.data.truths.truth_in_words`.
        objects: (truth of ``read_truth``, width and height in px of the upright original) -> its
            objects, in an order that is always the same.
    """

    name: str
    primary_metric: str
    class_metric: str
    compose_options: Callable[[], dict[str, Any]]
    transform: Callable[[Any, Array, Truth], tuple[Array, Truth]]
    read_truth: Callable[[Sequence[str], ClassTable, MaskReader], Sequence[Truth]]
    build_model: Callable[["Backbone", ClassTable, TaskOptions], "GraftedModel"]
    loss: Callable[[torch.Tensor, Sequence[Truth], ClassTable, LossOptions], torch.Tensor]
    predict: Callable[[torch.Tensor, ClassTable, float, Sequence[Frame]], pd.DataFrame]
    new_metrics: Callable[[pd.DataFrame, ClassTable], Metrics]
    objects: Callable[[Truth, int, int], Sequence[StatedObject]] = no_objects
