"""What can be wrong with labels, and what ingestion must say of it, for every layout.

A spoiler changes image 03 of a clean set (`label_sets`) and nothing else, unless its cell says so.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from unicodedata import normalize

Spoil = Callable[[Path], object]
NAN = float("nan")
COMPOSED, APART = (normalize(form, "café") for form in ("NFC", "NFD"))


@dataclass(frozen=True)
class Cell:
    """One fault in one layout.

    ``said``: words of the row, the finding or the error. ``place``: words of file and row, where a
    row of the quarantine says it. ``image``: what becomes of image 03: ``stays`` with the truth it
    had, ``goes``, ``changes`` as is said, or the whole run ``stops``. ``beside``: other images that
    the spoiler touches.
    """

    spoil: Spoil
    said: str
    place: str = ""
    image: Literal["stays", "goes", "changes", "stops"] = "stays"
    beside: tuple[str, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


CELLS: dict[tuple[str, str], Cell] = {}
BOXES = ("voc", "coco", "yolo", "boxes_csv", "labelme")
PAIRS = ("masks", "listed_masks", "instances")
MASKS = (*PAIRS, "labelme_masks")
WHOLE = ("folders", "table")
PLACES = {
    "voc": "xml/03.xml object 2", "coco": "all.json annotation 99", "yolo": "labels/03.txt line 2",
    "boxes_csv": "boxes.csv:14", "labelme": "03.json shape 2", "labelme_masks": "03.json shape 2",
}  # fmt: skip
"""Where a box that is added to image 03 stands."""
IMAGE_OF = {
    "instances": "PNGImages/03.png", "labelme": "03.png", "labelme_masks": "03.png",
    "folders": "bee/03.png",
}  # fmt: skip
TRUTH_OF = {
    "voc": "xml/03.xml", "coco": "all.json", "yolo": "labels/03.txt", "boxes_csv": "boxes.csv",
    "masks": "masks/03.png", "listed_masks": "masks/03.png", "instances": "PedMasks/03_mask.png",
    "labelme": "03.json", "labelme_masks": "03.json", "table": "table.csv",
}  # fmt: skip


def image_of(name: str) -> str:
    """Where image 03 lies."""
    return IMAGE_OF.get(name, "images/03.png")


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")


def edit_json(path: Path, change: Callable[[Any], object]) -> None:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
