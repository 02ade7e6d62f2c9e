"""Small drawn masks, and what reads and says them as the project does."""

import json
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from graft.vision.data.masks import encode_mask
from graft.vision.records import Array
from graft.vision.task import ClassTable

CLASSES = ClassTable(names=("field", "pond", "hut"))
IGNORED = 255


@dataclass
class DictOfMasks:
    """A `MaskReader` that counts how often it is asked."""

    masks: dict[str, Array]
    reads: list[str] = field(default_factory=list)

    def read(self, sha256: str) -> Array:
        """The mask of this key."""
        self.reads.append(sha256)
        return self.masks[sha256]


def draw_mask(height: int, width: int, number: int = 0) -> Array:
    """A field with a round pond, a hut, and a strip that nobody judges."""
    rng = np.random.default_rng(number)
    y, x = np.indices((height, width))
    mask = np.zeros((height, width), np.uint8)
    at_y, at_x = (rng.uniform(0.35, 0.65) * side for side in (height, width))
    mask[np.hypot((y - at_y) / height, (x - at_x) / width) < 0.27] = 1
    mask[round(0.6 * height) : round(0.95 * height), round(0.05 * width) : round(0.45 * width)] = 2
    mask[: height // 12] = IGNORED
    return mask


def truth_text(key: str, names: tuple[str, ...], present: list[str]) -> str:
    """A truth text of the manifest."""
    return json.dumps(
        {
            "mask": f"masks/{key}.png",
            "mask_sha256": key,
            "names": list(names),
            "ignored": IGNORED,
            "classes": present,
            "size_px": [1, 1],
        }
    )


def in_words(mask: Array, names: tuple[str, ...] = CLASSES.names) -> str:
    """A mask as tables hold it."""
    size = [mask.shape[1], mask.shape[0]]
    said = {"size_px": size, "names": list(names), "ignored": IGNORED, "png": encode_mask(mask)}
    return json.dumps(said)


def table_of(truths: list[Array], predictions: list[Array]) -> pd.DataFrame:
    """A prediction table."""
    return pd.DataFrame(
        {
            "truth": [in_words(mask) for mask in truths],
            "prediction": [in_words(mask) for mask in predictions],
            "score": np.linspace(0.5, 1, len(truths)),
        }
    )


def iou(one: Array, other: Array, number: int) -> float:
    """Intersection over union of a class in two masks, over what both judge."""
    judged = (one != IGNORED) & (other != IGNORED)
    first, second = (one == number) & judged, (other == number) & judged
    union = (first | second).sum()
    return float((first & second).sum() / union) if union else 1.0
