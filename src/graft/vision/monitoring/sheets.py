"""Equal-sized pictures of images, on which one place is one place: the whole, and the corners."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from graft.vision.records import Array

WHOLE_PX = 96
"""Side of the whole image, squashed: what a model sees of a patch has the size of one here."""
CORNER_PX = 36
"""Side of each corner, cut out without scaling: patches laid into files keep their pixels there."""
CORNERS = ("top left", "top right", "bottom left", "bottom right")
WHOLE = "whole image"
CELLS_PX = {WHOLE: (2, 4), **dict.fromkeys(CORNERS, (1, 2))}
"""A patch is three cells wide: these sides are tried."""


@dataclass(frozen=True)
class Grid:
    """Mean colours of the cells of many images. ``cells``: (N, G, G, 3) float32, 0..255."""

    where: str
    cell_px: int
    cells: Array


def grids(images: Sequence[Array]) -> list[Grid]:
    """The grids of upright (H, W, C) uint8 images, one per sheet and side of a cell."""
    sheets = {name: np.stack([_sheet(pixels, name) for pixels in images]) for name in CELLS_PX}
    return [
        Grid(name, cell_px, _cell_means(sheets[name], cell_px))
        for name, sides in CELLS_PX.items()
        for cell_px in sides
    ]


def _sheet(pixels: Array, name: str) -> Array:
    colours = pixels[:, :, :3] if pixels.shape[2] >= 3 else np.repeat(pixels[:, :, :1], 3, axis=2)
    if name in CORNERS:
        colours = _corner(colours, name)
    side = CORNER_PX if name in CORNERS else WHOLE_PX
    if colours.shape[:2] == (side, side):
        return colours
    how = cv2.INTER_AREA if min(colours.shape[:2]) >= side else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(colours), (side, side), interpolation=how)


def _corner(colours: Array, name: str) -> Array:
    rows = slice(None, CORNER_PX) if name.startswith("top") else slice(-CORNER_PX, None)
    columns = slice(None, CORNER_PX) if name.endswith("left") else slice(-CORNER_PX, None)
    return colours[rows, columns]


def _cell_means(sheets: Array, cell_px: int) -> Array:
    count, side = len(sheets), sheets.shape[1] // cell_px
    parts = sheets.reshape(count, side, cell_px, side, cell_px, 3)
    return parts.mean(axis=(2, 4), dtype=np.float32)
