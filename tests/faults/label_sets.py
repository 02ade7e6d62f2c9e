"""A clean set of each layout, twelve images of 40x30 px each, to be spoiled one row at a time.

Image ``n`` shows one square: an ant where ``n`` is even, a bee where it is odd.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT, COUNT = 40, 30, 12
KINDS = ("ant", "bee")
HEADER = "filename,width,height,class,xmin,ymin,xmax,ymax"


def box_of(n: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of the square of an image."""
    return 2 + n, 3, 14 + n, 15


def picture(path: Path, seed: int = 0) -> Path:
    """An image of noise that no other seed gives."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write(path: Path, text: str) -> Path:
    """A text file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def square(n: int, value: int) -> np.ndarray:
    """A mask that holds this value where the square is."""
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    left, top, right, bottom = box_of(n)
    values[top:bottom, left:right] = value
    return values


def save(path: Path, values: Any) -> Path:
    """A mask file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path)
    return path


def voc_object(name: str, *corners: object) -> str:
    tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    box = "".join(f"<{tag}>{value}</{tag}>" for tag, value in tags)
    return f"<object><name>{name}</name><bndbox>{box}</bndbox></object>"


def voc_text(*objects: str, size: tuple[int, int] = (WIDTH, HEIGHT), head: str = "") -> str:
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>"
    return f"{head}<annotation>{stated}{''.join(objects)}</annotation>"


def shape(name: object, points: object, kind: str = "polygon") -> dict[str, Any]:
    return {"label": name, "points": points, "shape_type": kind}


def corners_of(n: int) -> list[list[int]]:
    left, top, right, bottom = box_of(n)
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def labelme_record(n: int) -> dict[str, Any]:
    shapes = [shape(KINDS[n % 2], corners_of(n))]
    return {
        "shapes": shapes, "imageWidth": WIDTH, "imageHeight": HEIGHT, "imagePath": f"{n:02d}.png",
    }  # fmt: skip


def lay_voc(root: Path) -> None:
    for n in range(COUNT):
        picture(root / f"images/{n:02d}.png", n)
        write(root / f"xml/{n:02d}.xml", voc_text(voc_object(KINDS[n % 2], *box_of(n))))


def lay_coco(root: Path) -> None:
    images, annotations = [], []
    for n in range(COUNT):
        picture(root / f"images/{n:02d}.png", n)
        size = {"width": WIDTH, "height": HEIGHT}
        images.append({"id": n, "file_name": f"{n:02d}.png", **size})
        left, top, right, bottom = box_of(n)
        bbox = [left, top, right - left, bottom - top]
        annotations.append({"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": bbox})
    categories = [{"id": 1, "name": "ant"}, {"id": 2, "name": "bee"}]
    record = {"images": images, "annotations": annotations, "categories": categories}
    write(root / "all.json", json.dumps(record))


def yolo_line(n: int, kind: object, *corners: float) -> str:
    left, top, right, bottom = corners or box_of(n)
    x, y = (left + right) / 2 / WIDTH, (top + bottom) / 2 / HEIGHT
    return f"{kind} {x} {y} {(right - left) / WIDTH} {(bottom - top) / HEIGHT}\n"


def lay_yolo(root: Path) -> None:
    write(root / "data.yaml", "names: [ant, bee]\n")
    for n in range(COUNT):
        picture(root / f"images/{n:02d}.png", n)
        write(root / f"labels/{n:02d}.txt", yolo_line(n, n % 2))


def csv_line(n: int, *cells: object, size: tuple[int, int] = (WIDTH, HEIGHT)) -> str:
    said = cells or (KINDS[n % 2], *box_of(n))
    return ",".join(map(str, (f"{n:02d}.png", *size, *said))) + "\n"


def lay_boxes_csv(root: Path) -> None:
    for n in range(COUNT):
        picture(root / f"images/{n:02d}.png", n)
    write(root / "boxes.csv", f"{HEADER}\n" + "".join(csv_line(n) for n in range(COUNT)))


def lay_masks(root: Path) -> None:
    write(root / "classes.txt", "floor\nant\nbee\n")
    for n in range(COUNT):
        picture(root / f"images/{n:02d}.png", n)
        save(root / f"masks/{n:02d}.png", square(n, 1 + n % 2))


def lay_listed_masks(root: Path) -> None:
    lay_masks(root)
    for split, numbers in (("train", range(8)), ("val", range(8, 10)), ("test", range(10, 12))):
        lines = "".join(f"{n:02d}\n" for n in numbers)
        write(root / f"ImageSets/Segmentation/{split}.txt", lines)


def lay_instances(root: Path) -> None:
    for n in range(COUNT):
        picture(root / f"PNGImages/{n:02d}.png", n)
        save(root / f"PedMasks/{n:02d}_mask.png", square(n, 7))


def lay_labelme(root: Path) -> None:
    for n in range(COUNT):
        picture(root / f"{n:02d}.png", n)
        write(root / f"{n:02d}.json", json.dumps(labelme_record(n)))


def lay_folders(root: Path) -> None:
    for n in range(COUNT):
        picture(root / f"{KINDS[n % 2]}/{n:02d}.png", n)


def lay_table(root: Path) -> None:
    for n in range(COUNT):
        picture(root / f"images/{n:02d}.png", n)
    lines = "".join(f"{n:02d}.png,{KINDS[n % 2]}\n" for n in range(COUNT))
    write(root / "table.csv", "path,label\n" + lines)


_MASKS = {"layout": "masks", "images_folder": "images", "masks_folder": "masks"}
SETS: dict[str, tuple[Callable[[Path], None], dict[str, Any]]] = {
    "voc": (lay_voc, {"layout": "voc"}),
    "coco": (lay_coco, {"layout": "coco"}),
    "yolo": (lay_yolo, {"layout": "yolo"}),
    "boxes_csv": (lay_boxes_csv, {"layout": "boxes_csv"}),
    "masks": (lay_masks, _MASKS),
    "listed_masks": (lay_listed_masks, _MASKS),
    "instances": (lay_instances, {"layout": "instances", "class_names": ["pedestrian"]}),
    "labelme": (lay_labelme, {"layout": "labelme"}),
    "labelme_masks": (lay_labelme, {"layout": "labelme", "truth": "masks"}),
    "folders": (lay_folders, {"layout": "folders"}),
    "table": (lay_table, {"layout": "table", "images_folder": "images"}),
}
"""How a clean set is laid, and the options of the source that read it."""
