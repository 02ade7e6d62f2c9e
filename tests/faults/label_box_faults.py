"""Bad boxes, and bad names of classes, in every layout that has them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from label_cells import APART, BOXES, CELLS, COMPOSED, NAN, PLACES, Cell, Spoil, append, edit_json
from label_sets import KINDS, box_of, csv_line, shape, voc_object, voc_text, write, yolo_line

# --- boxes ---------------------------------------------------------------------------------------


def voc_box(root: Path, name: str, *corners: float) -> None:
    text = voc_text(voc_object(KINDS[1], *box_of(3)), voc_object(name, *corners))
    write(root / "xml/03.xml", text)


def coco_box(root: Path, name: str, *corners: float) -> None:
    left, top, right, bottom = corners
    names = [*KINDS, name] if name not in KINDS else list(KINDS)
    item = {"id": 99, "image_id": 3, "category_id": names.index(name) + 1,
            "bbox": [left, top, right - left, bottom - top]}  # fmt: skip

    def change(record: Any) -> None:
        record["annotations"].append(item)
        record["categories"] = [{"id": i, "name": n} for i, n in enumerate(names, start=1)]

    edit_json(root / "all.json", change)


def yolo_box(root: Path, name: str, *corners: float) -> None:
    names = [*KINDS, name] if name not in KINDS else list(KINDS)
    write(root / "data.yaml", json.dumps({"names": names}, ensure_ascii=False))
    append(root / "labels/03.txt", yolo_line(3, names.index(name), *corners))


def csv_box(root: Path, name: str, *corners: float) -> None:
    append(root / "boxes.csv", csv_line(3, name, *corners))


def labelme_box(root: Path, name: str, *corners: float) -> None:
    left, top, right, bottom = corners
    points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    edit_json(root / "03.json", lambda record: record["shapes"].append(shape(name, points)))


ADD_BOX = {
    "voc": voc_box, "coco": coco_box, "yolo": yolo_box, "boxes_csv": csv_box,
    "labelme": labelme_box, "labelme_masks": labelme_box,
}  # fmt: skip


def add_boxes(
    fault: str, said: str, name: str, corners: Any, sets: Any = BOXES, **more: Any
) -> None:
    """A box beside the one that image 03 has."""
    for one in sets:
        place = PLACES[one] if more.get("image", "stays") == "stays" else ""
        CELLS[one, fault] = Cell(_adding(one, name, corners), said, place, **more)


def _adding(one: str, name: str, corners: Any) -> Spoil:
    return lambda root: ADD_BOX[one](root, name, *corners)


add_boxes("box outside", "outside the image", "bee", (100, 3, 120, 15))
add_boxes("box beyond", "reach beyond their image", "bee", (30, 3, 44, 15), image="changes")
add_boxes("box without area", "without area", "bee", (5, 5, 5, 15))
for fault, corners, said in (
    ("box outside", (100, 3, 120, 15), "reach beyond their image and are cut off"),
    ("box beyond", (30, 3, 44, 15), "reach beyond their image and are cut off"),
    ("box without area", (5, 5, 5, 15), "without area"),
    ("box of NaN", (NAN, 3, 10, 15), "not finite"),
):
    place = PLACES["labelme_masks"] if "cut off" not in said else ""
    CELLS["labelme_masks", fault] = Cell(_adding("labelme_masks", "bee", corners), said, place)
add_boxes("box inverted", "swapped corners", "bee", (20, 3, 10, 15), ("voc", "boxes_csv"))
add_boxes("box inverted", "negative size", "bee", (20, 3, 10, 15), ("coco", "yolo"))
add_boxes("box of NaN", "not finite", "bee", (NAN, 3, 10, 15))
add_boxes("box twice", "stated twice", "bee", box_of(3))
add_boxes("class missing", "without a class", "", (1, 1, 9, 9), ("voc", "boxes_csv", "labelme"))
add_boxes("class missing", "unknown category", "", (1, 1, 9, 9), ("coco",))
add_boxes("class missing", "without a class", "", (1, 1, 9, 9), ("labelme_masks",))
add_boxes(
    "class unknown", "unknown class", "wasp", (1, 1, 9, 9),
    ("voc", "boxes_csv", "labelme", "labelme_masks"), options={"class_names": list(KINDS)},
)  # fmt: skip
CELLS["coco", "class unknown"] = Cell(
    lambda root: edit_json(root / "all.json", lambda r: r["annotations"].append(
        {"id": 99, "image_id": 3, "category_id": 9, "bbox": [1, 1, 8, 8]})),
    "unknown category", PLACES["coco"],
)  # fmt: skip
CELLS["yolo", "class unknown"] = Cell(
    lambda root: append(root / "labels/03.txt", yolo_line(3, 7)), "unknown class", PLACES["yolo"]
)
NAMED = (*BOXES, "labelme_masks")
add_boxes("class case", "case or blanks only", "Bee", (1, 1, 9, 9), NAMED, image="changes")
add_boxes("class blanks", "case or blanks only", "b ee", (1, 1, 9, 9), NAMED, image="changes")
add_boxes("class padded", "have blanks around them", "bee ", (1, 1, 9, 9), BOXES, image="changes")
# The mask gets a square more of the class that it has: its pixels change, its classes do not.
CELLS["labelme_masks", "class padded"] = replace(CELLS["labelme", "class padded"], image="stays")


def add_spellings(one: str) -> Spoil:
    def spoil(root: Path) -> None:
        ADD_BOX[one](root, APART, 1, 1, 9, 9)
        if one == "labelme_masks" or one == "labelme":
            points = [[20, 20], [30, 20], [30, 28]]
            edit_json(root / "03.json", lambda r: r["shapes"].append(shape(COMPOSED, points)))
        elif one == "voc":
            objects = [voc_object(name, 1, y, 9, y + 9) for name, y in ((APART, 1), (COMPOSED, 2))]
            write(root / "xml/03.xml", voc_text(*objects))
        elif one == "coco":
            edit_json(root / "all.json", lambda r: (
                r["categories"].append({"id": 4, "name": COMPOSED}),
                r["annotations"].append({"image_id": 3, "category_id": 4, "bbox": [1, 2, 8, 8]}),
            ))  # fmt: skip
        elif one == "yolo":
            names = [*KINDS, APART, COMPOSED]
            write(root / "data.yaml", json.dumps({"names": names}, ensure_ascii=False))
            append(root / "labels/03.txt", yolo_line(3, 3, 1, 2, 9, 10))
        else:
            csv_box(root, COMPOSED, 1, 2, 9, 10)

    return spoil


for one in BOXES:
    CELLS[one, "class spelled twice"] = Cell(add_spellings(one), "taken for one", image="changes")
CELLS["labelme_masks", "class spelled twice"] = Cell(
    add_spellings("labelme_masks"), "two classes of masks; spell it once", image="changes"
)
