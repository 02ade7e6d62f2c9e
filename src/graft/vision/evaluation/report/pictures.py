"""Pictures of the report: the worst images, a median and the best one; where the model looks."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
import torch

from graft.vision.data.pixels import PixelReader
from graft.vision.evaluation.attention import class_activation, overlay, stretched
from graft.vision.evaluation.report.material import Picture
from graft.vision.model import TrainedModel
from graft.vision.preprocessing import Frame, with_channels
from graft.vision.records import Array
from graft.vision.task import Illustrated, Metrics, Shown
from graft.vision.tiles import frames_of, views_of

SIDE_PX, ALONE_PX = 480, 200
"""The longer side of pictures that stand beside another, and of those that stand alone."""
QUALITY = 80


@dataclass(frozen=True)
class Gallery:
    """Test images with what a model said of them, in the order of the predictions."""

    predictions: pd.DataFrame
    metrics: Metrics
    pixels: PixelReader

    def worst_to_best(self, count: int) -> list[Picture]:
        """The worst images; then a median and the best one, unless each is just right or wrong."""
        scores, order = self.metrics.image_scores(), self._from_the_worst()
        others = {}
        if len(order) > 2 and self._is_graded(order[0], scores):
            others = {order[len(order) // 2]: "median", order[-1]: "best"}
        worst = [row for row in order if scores[row] < 1 and row not in others][:count]
        labels = {**dict.fromkeys(worst, "worst"), **others}
        return [self._picture(row, label) for row, label in labels.items()]

    def _is_graded(self, row: int, scores: Array) -> bool:
        """Whether images are right in part, as where truth stands beside prediction."""
        partial = ((scores > 0) & (scores < 1)).any()
        return bool(partial) or self._show(row).companion is not None

    def looks(self, model: TrainedModel, count: int) -> list[Picture]:
        """Where the model looks: half on images that it does badly, half spread over the others."""
        scores = self.metrics.image_scores()
        order = self._from_the_worst()
        bad = [row for row in order if scores[row] < 1][: count // 2]
        good = [row for row in order if row not in bad]
        places = np.linspace(0, max(0, len(good) - 1), min(len(good), count - len(bad)))
        rows = [*(good[int(place)] for place in places), *bad]
        return [self._look(model, row) for row in dict.fromkeys(rows)]

    def _from_the_worst(self) -> list[int]:
        """Rows by their score, the surest first; those without a score are left out."""
        scores = self.metrics.image_scores()
        keyed = np.where(np.isfinite(scores), scores, np.inf)
        order = np.lexsort((-self.predictions["score"].to_numpy(float), keyed))
        return [int(row) for row in order if np.isfinite(scores[row])]

    def _picture(self, row: int, label: str) -> Picture:
        shown, source = self._show(row), str(self.predictions["path"].iloc[row])
        if shown.companion is None:
            return Picture(encode(shown.picture, ALONE_PX), shown.caption, source=source)
        label = f"{label}: {self.metrics.image_scores()[row]:.2f}"
        truth, said = encode(shown.picture), encode(shown.companion)
        return Picture(truth, shown.caption, said, label, source)

    def _look(self, model: TrainedModel, row: int) -> Picture:
        shown, source = self._show(row), str(self.predictions["path"].iloc[row])
        own = self.metrics if isinstance(self.metrics, Illustrated) else None
        evidence, pixels = own.evidence(row) if own else None, self._pixels(row)
        speaks = evidence.speaks if evidence else None
        large = scaled(pixels, SIDE_PX)
        warm = overlay(large, _heat_over(large, pixels, model, speaks))
        if shown.companion is None:
            said, heat = encode(large, ALONE_PX), encode(warm, ALONE_PX)
            return Picture(said, shown.caption, heat, source=source)
        label = f"for {evidence.of}" if evidence else "features"
        return Picture(encode(shown.companion), shown.caption, encode(warm), label, source)

    def _show(self, row: int) -> Shown:
        """Drawn as large as pictures get, so that lines and words are sharp."""
        return self.metrics.show(row, scaled(self._pixels(row), SIDE_PX))

    def _pixels(self, row: int) -> Array:
        return with_channels(self.pixels.read(self.predictions["sha256"].iloc[row]), 3)


def _heat_over(
    picture: Array,
    pixels: Array,
    model: TrainedModel,
    speaks: Callable[[torch.Tensor], torch.Tensor] | None,
) -> Array:
    """(H, W) in 0..1 on a picture of the stored pixels: the heat of each view where it lies."""
    height, width = picture.shape[:2]
    view = model.card.preprocessing
    heats = [class_activation(model.module, part, speaks) for part in views_of(pixels, view)]
    frames = frames_of(pixels.shape, width, height, view)
    laid = np.zeros((height, width), np.float32)
    for heat, frame in zip(stretched(np.stack(heats)), frames, strict=True):
        laid = np.maximum(laid, _laid(heat, frame))
    return laid


def _laid(heat: Array, frame: Frame) -> Array:
    """(H, W) of the picture that is the frame's original; 0 where the view does not reach."""
    # From px of the picture to px of the view, whose centres lie at halves.
    x = frame.scale_x, 0, frame.left + (frame.scale_x - 1) / 2
    y = 0, frame.scale_y, frame.top + (frame.scale_y - 1) / 2
    place, size = np.array([x, y]), (frame.width_px, frame.height_px)
    there, nearest = (way | cv2.WARP_INVERSE_MAP for way in (cv2.INTER_LINEAR, cv2.INTER_NEAREST))
    seen = cv2.warpAffine(np.ones_like(heat, np.uint8), place, size, flags=nearest)
    edge = cv2.BORDER_REPLICATE
    found = cv2.warpAffine(heat.astype(np.float32), place, size, flags=there, borderMode=edge)
    return np.where(seen == 1, found, 0)


def scaled(pixels: Array, side_px: int) -> Array:
    """(H, W, C) pixels whose longer side is this."""
    scale = side_px / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(pixels, size, interpolation=way)


def encode(pixels: Array, side_px: int | None = None) -> bytes:
    """A JPEG of (H, W, 3) RGB pixels, scaled when a side is given."""
    pixels = pixels if side_px is None else scaled(pixels, side_px)
    settings = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    return cv2.imencode(".jpg", np.ascontiguousarray(pixels[:, :, ::-1]), settings)[1].tobytes()
