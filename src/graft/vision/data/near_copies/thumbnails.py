"""Small grey squares: what of an image is compared, in eight orientations."""

import cv2
import numpy as np

from graft.vision.records import Array

SIDE = 64
"""Side of a thumbnail, in px."""
ORIENTATIONS = (
    "",
    "rot90",
    "rot180",
    "rot270",
    "mirror",
    "rot90 mirror",
    "rot180 mirror",
    "rot270 mirror",
)


def thumbnail(pixels: Array) -> Array:
    """(SIDE, SIDE) uint8 grey thumbnail of the whole picture."""
    grey = (
        pixels[:, :, 0]
        if pixels.shape[2] == 1
        else cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_RGB2GRAY)
    )
    shrinks = min(grey.shape) > SIDE
    return cv2.resize(
        grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def turned(squares: Array, turn: int) -> Array:
    """(..., S, S) squares in one of the ORIENTATIONS; 0 is the plain one."""
    out = np.rot90(squares, turn % 4, axes=(-2, -1))
    return np.ascontiguousarray(out[..., ::-1] if turn >= 4 else out)


def turned_each(squares: Array, turns: Array) -> Array:
    """(K, S, S) squares, each in its own orientation."""
    out = squares.copy()
    for turn in np.unique(turns[turns > 0]):
        out[turns == turn] = turned(squares[turns == turn], turn)
    return out


def undoing(turn: int) -> int:
    """The turn that undoes a turn; a mirrored one undoes itself."""
    return turn if turn >= 4 else -turn % 4


def reduced(squares: Array, side: int) -> Array:
    """(K, side, side) float32 means of equal blocks; ``side`` divides that of the squares."""
    block = squares.shape[-1] // side
    means = np.repeat(np.eye(side, dtype=np.float32), block, axis=1) / block
    return means @ squares.astype(np.float32) @ means.T
