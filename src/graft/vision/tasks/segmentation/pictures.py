"""Masks as colours over a picture, in a palette whose colours have names."""

import numpy as np

from graft.vision.data.masks import IGNORED
from graft.vision.preprocessing import with_channels
from graft.vision.records import Array
from graft.vision.task import ClassTable
from graft.vision.tasks.segmentation.transform import resize_mask

PALETTE = {
    "blue": (0, 130, 200),
    "orange": (245, 130, 48),
    "yellow": (255, 225, 25),
    "purple": (145, 30, 180),
    "pink": (250, 150, 190),
    "green": (60, 180, 75),
    "red": (230, 25, 75),
    "brown": (170, 110, 40),
    "cyan": (70, 240, 240),
    "magenta": (240, 50, 230),
    "lime": (190, 240, 50),
    "navy": (0, 0, 128),
    "maroon": (128, 0, 0),
    "mint": (170, 255, 195),
    "olive": (128, 128, 0),
    "lavender": (220, 190, 255),
    "teal": (0, 128, 128),
    "beige": (255, 250, 200),
}
"""After Trubetskoy's 20 simple, distinct colours; grey is for what is ignored."""
OPACITY, NAMED = 0.55, 6


def colour_of(number: int) -> tuple[str, Array]:
    """Name and RGB of a class number; beyond the palette its colours come again, darker."""
    turn, place = divmod(number, len(PALETTE))
    name, colour = list(PALETTE.items())[place]
    return "dark " * turn + name, np.array(colour, float) * 0.6**turn


def legend_of(classes: ClassTable) -> dict[str, tuple[int, int, int]]:
    """RGB by class name."""
    colours = [colour_of(i)[1].astype(int).tolist() for i in range(len(classes))]
    return {name: (r, g, b) for name, (r, g, b) in zip(classes.names, colours, strict=True)}


def paint(pixels: Array, mask: Array) -> Array:
    """(H, W, 3) uint8: class colours over (H, W, C) pixels; ignored pixels hatched in grey."""
    pixels = with_channels(pixels, 3)
    mask = resize_mask(mask, pixels.shape[1], pixels.shape[0])
    table = np.zeros((256, 3))
    for number in np.unique(mask):
        table[number] = 128 if number == IGNORED else colour_of(int(number))[1]
    colours = table[mask]
    y, x = np.indices(mask.shape)
    stripes = (mask == IGNORED) & ((x + y) // max(2, min(mask.shape) // 60) % 2 == 0)
    colours[stripes] = 235
    return np.rint((1 - OPACITY) * pixels + OPACITY * colours).astype(np.uint8)


def say_classes(classes: ClassTable, true: Array, ious: Array) -> str:
    """The largest classes of an image's truth, with their colours and IoU."""
    order = [int(i) for i in np.argsort(-true, kind="stable") if true[i] > 0]
    said = [f"{classes.names[i]} ({colour_of(i)[0]}) {ious[i]:.2f}" for i in order[:NAMED]]
    rest = len(order) - len(said)
    return ", ".join(said + ([f"{rest} more"] if rest else [])) or "nothing is judged"
