"""Bad masks, sizes and ids."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from label_cells import APART, CELLS, COMPOSED, PAIRS, TRUTH_OF, Cell, Spoil, append, edit_json
from label_sets import box_of, labelme_record, save, square, voc_object, voc_text, write

# --- masks ---------------------------------------------------------------------------------------


def class_list(text: str, file: str = "classes.txt") -> Spoil:
    def spoil(root: Path) -> None:
        (root / "classes.txt").unlink()
        write(root / file, text)

    return spoil


def mask_of(values: Any) -> Callable[[str], Spoil]:
    return lambda one: lambda root: save(root / TRUTH_OF[one], values)


COLOURED = np.zeros((30, 40, 3), np.uint8)
COLOURED[2:9] = (10, 20, 30)
for fault, values, said, sets in (
    ("size stated wrong", np.zeros((20, 20), np.uint8), "another size than the image", PAIRS),
    ("mask value undefined", square(3, 9), "name no class (9)", PAIRS[:2]),
    ("mask of three channels", COLOURED, "colours that name no class", PAIRS[:2]),
):
    for one in sets:
        CELLS[one, fault] = Cell(mask_of(values)(one), said, TRUTH_OF[one], "goes")
CELLS["labelme_masks", "mask value undefined"] = CELLS["labelme_masks", "class unknown"]
for one in PAIRS:
    CELLS[one, "truth empty"] = Cell(
        lambda root, one=one: (root / TRUTH_OF[one]).write_bytes(b""),  # type: ignore[misc]
        "the mask is empty", TRUTH_OF[one], "goes",
    )  # fmt: skip
for one in PAIRS[:2]:
    everything = np.full((30, 40), 255, np.uint8)
    CELLS[one, "mask judged nowhere"] = Cell(
        mask_of(everything)(one), "hold no judged pixel: masks/03.png", image="changes"
    )
    CELLS[one, "class case"] = Cell(class_list("floor\nant\nAnt\nbee\n"), "case or blanks only",
        image="changes", beside=("*",))  # fmt: skip
    CELLS[one, "class blanks"] = Cell(class_list("floor\nant\na nt\nbee\n"), "case or blanks only",
        image="changes", beside=("*",))  # fmt: skip
    CELLS[one, "class spelled twice"] = Cell(class_list(f"floor\n{APART}\n{COMPOSED}\n"),
        "two classes of masks; spell it once", image="changes", beside=("*",))  # fmt: skip
    CELLS[one, "id twice"] = Cell(
        class_list("0 floor\n1 ant\n1 bee\n"), "classes.txt names 1 twice", image="stops"
    )
    CELLS[one, "JSON nested deeply"] = Cell(
        class_list("[" * 100_000, "dataset_meta.json"), "cannot be read as JSON", image="stops"
    )
    CELLS[one, "half a code point"] = Cell(
        class_list('{"label_map": {"0": "floor", "1": "a\\ud800", "2": "bee"}}',
                   "dataset_meta.json"),
        "a name that is no text", image="stops",
    )  # fmt: skip

# --- sizes and ids -------------------------------------------------------------------------------

CELLS["voc", "size stated wrong"] = Cell(
    lambda root: write(root / "xml/03.xml", voc_text(voc_object("bee", *box_of(3)), size=(60, 60))),
    "another size (60x60 stated, 40x30 found)", "images/03.png xml/03.xml", "goes",
)  # fmt: skip
CELLS["coco", "size stated wrong"] = Cell(
    lambda root: edit_json(root / "all.json", lambda r: r["images"][3].update(width=60)),
    "another size (60x30 stated, 40x30 found)", "images/03.png all.json", "goes",
)  # fmt: skip
CELLS["boxes_csv", "size stated wrong"] = Cell(
    lambda root: write(root / "boxes.csv", (root / "boxes.csv").read_text().replace(
        "03.png,40,30", "03.png,60,60")),
    "another size (60x60 stated, 40x30 found)", "images/03.png boxes.csv:5", "goes",
)  # fmt: skip
for one, said in (
    ("labelme", "another size (60x30 stated, 40x30 found)"),
    ("labelme_masks", "another size than the image"),
):
    CELLS[one, "size stated wrong"] = Cell(
        lambda root: edit_json(root / "03.json", lambda r: r.update(imageWidth=60)),
        said, "03.png 03.json", "goes",
    )  # fmt: skip
CELLS["voc", "id twice"] = Cell(
    lambda root: write(root / "zz/03.xml", voc_text()), "a second annotation; xml/03.xml is used",
    "images/03.png zz/03.xml",
)  # fmt: skip
CELLS["coco", "id twice"] = Cell(
    lambda root: edit_json(root / "all.json", lambda r: r["images"].append(
        {"id": 3, "file_name": "05.png"})),
    "the id of another image; number", "05.png all.json image 3",
)  # fmt: skip
CELLS["yolo", "id twice"] = Cell(
    lambda root: write(root / "zz/03.txt", ""), "a second text file; labels/03.txt is used",
    "images/03.png zz/03.txt",
)  # fmt: skip
CELLS["boxes_csv", "id twice"] = CELLS["boxes_csv", "box twice"]
CELLS["instances", "id twice"] = Cell(
    lambda root: save(root / "PedMasks/03.png", square(3, 1)),
    "mask without an image", "PedMasks/03_mask.png", "changes",
)  # fmt: skip
for one in ("labelme", "labelme_masks"):
    CELLS[one, "id twice"] = Cell(
        lambda root: write(root / "zz/03.json", json.dumps(labelme_record(3))),
        "a second file; 03.json is used", "03.png zz/03.json",
    )  # fmt: skip
for label, other in (("bee", "the same"), ("ant", "another")):
    CELLS["table", f"id twice{', otherwise' * (label == 'ant')}"] = Cell(
        lambda root, label=label: append(root / "table.csv", f"03.png,{label}\n"),  # type: ignore[misc]
        f"listed again, with {other} label; keep one row", "03.png table.csv:14",
    )  # fmt: skip
