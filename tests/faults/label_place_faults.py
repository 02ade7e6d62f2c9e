"""Images without labels, labels without images, ways out of the folder, names of files."""

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from label_cells import (
    APART,
    CELLS,
    COMPOSED,
    PAIRS,
    TRUTH_OF,
    Cell,
    Spoil,
    append,
    edit_json,
    image_of,
)
from label_sets import (
    KINDS,
    SETS,
    box_of,
    labelme_record,
    picture,
    save,
    square,
    voc_object,
    voc_text,
    write,
    yolo_line,
)

from graft.vision.data.file_bytes import STATED_BYTES_MAX

# --- images without labels, labels without images ------------------------------------------------

LONE = {"instances": "PNGImages/90.png", "labelme": "90.png", "labelme_masks": "90.png",
        "folders": "90.png"}  # fmt: skip
for one, said, place in (
    ("voc", "no annotation; an image without objects needs an empty one", "images/90.png"),
    ("coco", "1 images are listed in no annotation and are not used: images/90.png", ""),
    ("yolo", "no text file and count as without objects: images/90.png", ""),
    ("boxes_csv", "1 images stand in no row and are not used: images/90.png", ""),
    ("masks", "image with no mask; draw one", "images/90.png"),
    ("listed_masks", "1 images stand in none of", ""),
    ("instances", "image with no mask; draw one", "PNGImages/90.png"),
    ("labelme", "no LabelMe file", "90.png"),
    ("labelme_masks", "no LabelMe file", "90.png"),
    ("folders", "1 images lie outside the class folders and are not used: 90.png", ""),
    ("table", "1 images stand in no row and are not used: images/90.png", ""),
):
    CELLS[one, "image without label"] = Cell(
        lambda root, one=one: picture(root / LONE.get(one, "images/90.png"), 90),  # type: ignore[misc]
        said, place, beside=("90.png",),
    )  # fmt: skip

for one, spoil, said, place in (
    ("voc", lambda root: write(root / "xml/gone.xml", voc_text()), "without an image",
     "xml/gone.xml"),
    ("coco", lambda root: edit_json(root / "all.json", lambda r: (
        r["images"].append({"id": 77, "file_name": "gone.png"}),
        r["annotations"].append({"image_id": 77, "category_id": 1, "bbox": [1, 1, 9, 9]}))),
     "the file is missing", "gone.png all.json image 77"),
    ("yolo", lambda root: write(root / "labels/gone.txt", yolo_line(1, 0)), "without an image",
     "labels/gone.txt"),
    ("boxes_csv", lambda root: append(root / "boxes.csv", "gone.png,40,30,ant,1,1,9,9\n"),
     "the file is missing", "gone.png boxes.csv:14"),
    ("masks", lambda root: save(root / "masks/gone.png", square(1, 1)), "mask without an image",
     "masks/gone.png"),
    ("listed_masks", lambda root: append(
        root / "ImageSets/Segmentation/train.txt", "gone\n"),
     "there is no such image", "gone ImageSets/Segmentation/train.txt:9"),
    ("instances", lambda root: save(root / "PedMasks/gone_mask.png", square(1, 1)),
     "mask without an image", "PedMasks/gone_mask.png"),
    ("labelme", lambda root: write(root / "gone.json", '{"shapes": []}'), "without an image",
     "gone.json"),
    ("labelme_masks", lambda root: write(root / "gone.json", '{"shapes": []}'),
     "without an image", "gone.json"),
    ("table", lambda root: append(root / "table.csv", "gone.png,ant\n"), "the file is missing",
     "gone.png table.csv:14"),
):  # fmt: skip
    CELLS[one, "label without image"] = Cell(spoil, said, place)
CELLS["coco", "label without entry"] = Cell(
    lambda root: edit_json(root / "all.json", lambda r: r["annotations"].append(
        {"id": 99, "image_id": 77, "category_id": 1, "bbox": [1, 1, 9, 9]})),
    "annotation of an unknown image (77); list the image", "all.json all.json annotation 99",
)  # fmt: skip

# --- ways out of the folder ----------------------------------------------------------------------


def outside(root: Path) -> Path:
    """A picture that lies beside the raw folder."""
    return picture(root.parent / "secret.png", 77)


def naming(one: str, path: Callable[[Path], str]) -> Spoil:
    """A label that names a file elsewhere."""

    def spoil(root: Path) -> None:
        outside(root)
        name = path(root)
        if one == "voc":
            write(root / "xml/zz.xml", voc_text(f"<filename>{name}</filename>"))
        elif one == "coco":
            entry = {"id": 77, "file_name": name}
            edit_json(root / "all.json", lambda r: r["images"].append(entry))
        elif one == "yolo":
            sheet = {"names": list(KINDS), "test": str(Path(name).parent)}
            write(root / "data.yaml", json.dumps(sheet))
        elif one == "boxes_csv":
            append(root / "boxes.csv", f"{name},40,30,ant,1,1,9,9\n")
        elif one == "listed_masks":
            append(root / "ImageSets/Segmentation/train.txt", f"{name}\n")
        elif one == "table":
            append(root / "table.csv", f"{name},ant\n")
        else:
            write(root / "zz.json", json.dumps({**labelme_record(3), "imagePath": name}))

    return spoil


for one, said, place in (
    ("voc", "without an image", "xml/zz.xml"),
    ("coco", "the file is missing", "secret.png all.json image 77"),
    ("yolo", "data.yaml: test names ", ""),
    ("boxes_csv", "the file is missing", "secret.png boxes.csv:14"),
    ("listed_masks", "there is no such image", "secret.png ImageSets/Segmentation/train.txt:9"),
    ("labelme", "without an image", "zz.json"),
    ("labelme_masks", "without an image", "zz.json"),
    ("table", "the path leaves the raw folder", "secret.png table.csv:14"),
):
    up = naming(one, lambda root: "../secret.png")
    CELLS[one, "path that leaves the root"] = Cell(up, said, place)
    full = naming(one, lambda root: str((root.parent / "secret.png").resolve()))
    CELLS[one, "path from the system's root"] = Cell(full, said, place)


def replacing(path: str, make: Callable[[Path], object]) -> Spoil:
    def spoil(root: Path) -> None:
        (root / path).unlink()
        make(root / path)

    return spoil


def to_outside(path: Path) -> None:
    """A link to what lies beside the raw folder, and is sound."""
    root = next(parent for parent in path.parents if parent.name == "raw")
    path.symlink_to(outside(root))


LARGE = (
    f"{STATED_BYTES_MAX + 1} bytes, of which at most {STATED_BYTES_MAX} are read; split the file"
)


def swell(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(STATED_BYTES_MAX + 1)  # which takes no room


def rename_badly(path: Path) -> None:
    picture(path)
    path.rename(path.with_name(f"\udcff{path.name}"))


for one in SETS:
    image = image_of(one)
    leaving = Cell(replacing(image, to_outside), "a link that leaves the raw folder", image, "goes")
    CELLS[one, "image linked from outside"] = leaving
    CELLS[one, "image linked to itself"] = Cell(
        replacing(image, lambda path: path.symlink_to(path.name)), "not a regular file", image,
        "goes",
    )  # fmt: skip
    CELLS[one, "image that is a pipe"] = Cell(
        replacing(image, os.mkfifo), "not a regular file", image, "goes"
    )
    CELLS[one, "image of a name that is not UTF-8"] = Cell(
        replacing(image, rename_badly), "the name is not UTF-8; rename the file", "\\udcff03.png",
        "goes",
    )  # fmt: skip
for fault, said in (
    ("image linked from outside", "a link that leaves the raw folder"),
    ("image linked to itself", "the file is missing"),
    ("image that is a pipe", "the file is missing"),
    ("image of a name that is not UTF-8", "the file is missing"),
):  # a table finds each image by its row, and looks at no other file
    CELLS["table", fault] = replace(CELLS["table", fault], said=said, place="03.png table.csv:5")

IN_A_TRUTH = {"voc": "annotation that cannot be read: ", "yolo": "text file that cannot be read: ",
              "labelme": "LabelMe file that cannot be read: ",
              "labelme_masks": "LabelMe file that cannot be read: "}  # fmt: skip
for one, truth in TRUTH_OF.items():
    head = IN_A_TRUTH.get(one, "")
    whole_file = one in ("coco", "boxes_csv", "table")
    where = truth if one in PAIRS else f"{image_of(one)} {truth}"
    for fault, make, said in (
        ("label linked from outside", to_outside, "a link that leaves the raw folder"),
        ("label that is a pipe", os.mkfifo, "not a regular file"),
        ("label of gigabytes", swell, "too many bytes" if one in PAIRS else LARGE),
    ):
        CELLS[one, fault] = (
            Cell(replacing(truth, make), said if make is swell else "", image="stops")
            if whole_file
            else Cell(replacing(truth, make), head + said, where, "goes")
        )

# --- names of files ------------------------------------------------------------------------------


def add_image(one: str, root: Path, stem: str, seed: int) -> None:
    """An ant, with all that its layout asks for."""
    name = f"{stem}.png"
    if one == "voc":
        picture(root / f"images/{name}", seed)
        write(root / f"xml/{stem}.xml", voc_text(voc_object("ant", *box_of(0))))
    elif one == "coco":
        picture(root / f"images/{name}", seed)
        edit_json(root / "all.json", lambda r: r["images"].append({"id": seed, "file_name": name}))
    elif one == "yolo":
        picture(root / f"images/{name}", seed)
        write(root / f"labels/{stem}.txt", yolo_line(0, 0))
    elif one == "boxes_csv":
        picture(root / f"images/{name}", seed)
        append(root / "boxes.csv", f"{name},40,30,ant,1,1,9,9\n")
    elif one in ("masks", "listed_masks"):
        picture(root / f"images/{name}", seed)
        save(root / f"masks/{name}", square(0, 1))
        if one == "listed_masks":
            append(root / "ImageSets/Segmentation/train.txt", f"{stem}\n")
    elif one == "instances":
        picture(root / f"PNGImages/{name}", seed)
        save(root / f"PedMasks/{stem}_mask.png", square(0, 1))
    elif one in ("labelme", "labelme_masks"):
        picture(root / name, seed)
        write(root / f"{stem}.json", json.dumps(labelme_record(0)))
    elif one == "folders":
        picture(root / f"ant/{name}", seed)
    else:
        picture(root / f"images/{name}", seed)
        append(root / "table.csv", f"{name},ant\n")


def add_twins(one: str, *stems: str) -> Spoil:
    def spoil(root: Path) -> None:
        for seed, stem in enumerate(stems, start=90):
            add_image(one, root, stem, seed)

    return spoil


for one in SETS:
    for fault, stems in (("files spelled twice", (COMPOSED, APART)), ("files of one name but for "
                         "capitals", ("a", "A"))):  # fmt: skip
        beside = tuple(f"{stem}.png" for stem in stems)
        CELLS[one, fault] = Cell(
            add_twins(one, *stems), "differ in capitals or Unicode spelling only", beside=beside
        )
