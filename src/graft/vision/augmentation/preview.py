"""A sheet of what training sees, as a picture."""

from typing import Any

import cv2
import numpy as np
import pandas as pd

from graft.vision.augmentation.sampling import Augmenter
from graft.vision.data.pixels import PixelReader
from graft.vision.preprocessing import with_channels
from graft.vision.records import Array
from graft.vision.task import Task

CELL, DRAWS, ROWS = 112, 6, 6


def preview_policy(
    policy: dict[str, Any],
    task: Task,
    split_manifest: pd.DataFrame,
    pixels: PixelReader,
    seed: int = 0,
) -> bytes:
    """PNG: per row one training image as it is, then six draws of the policy."""
    train = split_manifest[split_manifest["split"] == "train"]
    rows = train.iloc[np.linspace(0, len(train) - 1, min(ROWS, len(train))).astype(int)]
    augmenter = Augmenter(policy, task, seed)
    sheet = np.full(((CELL + 6) * len(rows) + 26, (CELL + 6) * (DRAWS + 1) + 6, 3), 255, np.uint8)
    _write(sheet, "as it is", 6)
    _write(sheet, f"policy '{policy['preset']}': {DRAWS} draws", CELL + 12)
    for y, (sha256, name) in enumerate(zip(rows["sha256"], rows["id"], strict=True)):
        found = pixels.read(sha256)
        cells = [found, *(augmenter(found, {}, epoch, name)[0] for epoch in range(DRAWS))]
        for x, cell in enumerate(cells):
            top, left = 26 + y * (CELL + 6), 6 + x * (CELL + 6)
            sheet[top : top + CELL, left : left + CELL] = _fit(cell)
    return cv2.imencode(".png", sheet[:, :, ::-1])[1].tobytes()


def _fit(pixels: Array) -> Array:
    """Scale into a square cell, on white."""
    pixels = with_channels(pixels, 3)
    scale = CELL / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    cell = np.full((CELL, CELL, 3), 255, np.uint8)
    top, left = (CELL - size[1]) // 2, (CELL - size[0]) // 2
    cell[top : top + size[1], left : left + size[0]] = small
    return cell


def _write(sheet: Array, text: str, left: int) -> None:
    cv2.putText(
        sheet, text, (left, 17), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (60, 60, 60), 1, cv2.LINE_AA
    )
