"""Sound files of every kind that is read, small and drawn here: what the fuzz starts from."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    RLELossless,
)

WIDTH, HEIGHT = 24, 20
COUNT = 6
NAMES = tuple(f"{number}.png" for number in range(COUNT))
CLASSES = ("ant", "bee")


def picture(seed: int, width: int = WIDTH, height: int = HEIGHT) -> Image.Image:
    """Coarse noise in colour."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (-(-height // 4), -(-width // 4), 3), np.uint8)
    return Image.fromarray(np.kron(coarse, np.ones((4, 4, 1), np.uint8))[:height, :width])


# --- images --------------------------------------------------------------------------------------


def image_files() -> dict[str, bytes]:
    """A file of each format and of the kinds that their readers treat in other ways."""
    plain, grey = picture(0, 48, 40), picture(1, 48, 40).convert("L")
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a description"
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 200)
    alpha = plain.copy()
    alpha.putalpha(grey)
    ways: dict[str, tuple[Image.Image, dict[str, Any]]] = {
        "plain.jpg": (plain, {"quality": 80, "exif": exif}),
        "progressive.jpg": (plain, {"progressive": True, "quality": 60}),
        "grey.jpg": (grey, {}),
        "inks.jpg": (plain.convert("CMYK"), {}),
        "plain.png": (plain, {"exif": exif}),
        "alpha.png": (alpha, {}),
        "palette.png": (plain.quantize(16), {"transparency": 3}),
        "deep.png": (deep, {}),
        "moving.png": (plain, {"save_all": True, "append_images": [plain.rotate(9)]}),
        "plain.gif": (plain.quantize(16), {}),
        "moving.gif": (plain, {"save_all": True, "append_images": [plain.rotate(9)] * 3}),
        "plain.bmp": (plain, {}),
        "palette.bmp": (plain.quantize(16), {}),
        "plain.webp": (plain, {"exif": exif}),
        "moving.webp": (plain, {"save_all": True, "append_images": [plain.rotate(9)]}),
        "plain.ppm": (plain, {}),
        "plain.tga": (plain, {"compression": "tga_rle"}),
        "plain.jp2": (plain, {}),
        "plain.avif": (plain, {}),
        "pages.tif": (plain, {"save_all": True, "append_images": [plain.rotate(9)]}),
        "deep.tif": (deep, {}),
        "float.tif": (Image.fromarray(np.asarray(deep).astype(np.float32)), {}),
        "fax.tif": (plain.convert("1"), {"compression": "group4"}),
    }
    for compression in ("raw", "tiff_lzw", "jpeg", "tiff_adobe_deflate", "packbits"):
        ways[f"{compression}.tif"] = (plain, {"compression": compression, "exif": exif})
    return {name: _saved(*way, name) for name, way in ways.items()} | dicom_files()


def _saved(image: Image.Image, more: dict[str, Any], name: str) -> bytes:
    out = io.BytesIO()
    image.save(out, Image.registered_extensions()[Path(name).suffix], **more)
    return out.getvalue()


def dicom_files() -> dict[str, bytes]:
    """Uncompressed in two depths, deflated, run-length and JPEG, one of two frames, a palette."""
    grey = np.asarray(picture(1).convert("L"))
    jpeg = _saved(picture(1).convert("L"), {}, "x.jpg")
    window = {"WindowCenter": 800, "WindowWidth": 900, "RescaleSlope": 2, "RescaleIntercept": -9}
    rle = {"PixelData": encapsulate([_run_length(grey)])}
    return {
        "plain.dcm": dicom_of(grey),
        "deep.dcm": dicom_of(grey.astype(np.uint16) * 16, BitsStored=12, HighBit=11, **window),
        "deflated.dcm": dicom_of(grey, DeflatedExplicitVRLittleEndian),
        "frames.dcm": dicom_of(np.stack([grey, grey]), NumberOfFrames=2),
        "jpeg.dcm": dicom_of(grey, JPEGBaseline8Bit, PixelData=encapsulate([jpeg])),
        "rle.dcm": dicom_of(grey, RLELossless, **rle),
        "colour.dcm": dicom_of(np.asarray(picture(2)), SamplesPerPixel=3, PlanarConfiguration=0,
                             PhotometricInterpretation="RGB"),
    }  # fmt: skip


def _run_length(grey: np.ndarray) -> bytes:
    """One segment of literal runs (PS3.5, annex G)."""
    data = grey.tobytes()
    runs = b"".join(
        bytes([len(part) - 1]) + part
        for part in (data[start : start + 128] for start in range(0, len(data), 128))
    )
    return (1).to_bytes(4, "little") + (64).to_bytes(4, "little") + bytes(56) + runs


def dicom_of(pixels: np.ndarray, syntax: str = ExplicitVRLittleEndian, **header: Any) -> bytes:
    """A DICOM file of uint8 or uint16 pixels, with more elements of the header."""
    data = Dataset()
    colour = header.get("SamplesPerPixel") == 3
    data.Rows, data.Columns = pixels.shape[-3:-1] if colour else pixels.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = 8 * pixels.dtype.itemsize
    data.HighBit, data.PixelRepresentation = data.BitsAllocated - 1, 0
    data.PixelData = pixels.tobytes()
    for name, value in header.items():
        setattr(data, name, value)
    data["PixelData"].VR = "OW" if data.BitsAllocated > 8 else "OB"
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = "1.2.3"
    out = io.BytesIO()
    pydicom.dcmwrite(out, data, enforce_file_format=True)
    return out.getvalue()


# --- data sets -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layout:
    """A data set that one reader reads.

    Args:
        options: of its source.
        texts: what is damaged, by its path; what belongs to one image alone stands in ``own`` with
            that image.
    """

    options: dict[str, Any]
    texts: dict[str, str | bytes]
    images: tuple[str, ...] = NAMES
    own: dict[str, str] = field(default_factory=dict)
    masks: tuple[str, ...] = ()

    @cached_property
    def files(self) -> dict[str, bytes]:
        """All that lies in the data set."""
        images = {name: _png(picture(n)) for n, name in enumerate(self.images)}
        masks = {name: _png(_mask(n)) for n, name in enumerate(self.masks)}
        texts = {n: t if isinstance(t, bytes) else t.encode() for n, t in self.texts.items()}
        return images | masks | texts


def write_layout(root: Path, layout: Layout) -> None:
    """Write images, masks and texts below a folder."""
    for name, data in layout.files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _png(image: Image.Image) -> bytes:
    return _saved(image, {}, "x.png")


def _mask(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 2, (HEIGHT, WIDTH), np.uint8))


def layouts() -> dict[str, Layout]:
    """A data set of each layout that has text in it."""
    made: tuple[Callable[[], dict[str, Layout]], ...] = (_boxes, _yolo, _tables, _masks, _labelme)
    return {name: layout for make in made for name, layout in make().items()}


def _box(number: int) -> tuple[int, int, int, int]:
    return 1 + number, 2, 9 + number, 14


def _boxes() -> dict[str, Layout]:
    return {"voc": _voc(), "coco": _coco(), "boxes_csv": _boxes_csv()}


def _voc() -> Layout:
    texts: dict[str, str | bytes] = {}
    for number, name in enumerate(NAMES):
        x0, y0, x1, y1 = _box(number)
        texts[f"Annotations/{number}.xml"] = (
            f'<?xml version="1.0"?>\n<annotation>\n<folder>JPEGImages</folder>\n'
            f"<filename>{name}</filename>\n<size><width>{WIDTH}</width><height>{HEIGHT}</height>"
            f"<depth>3</depth></size>\n<object><name>{CLASSES[number % 2]}</name>"
            f"<difficult>0</difficult><bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin>"
            f"<xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>\n</annotation>\n"
        )
    own = {f"Annotations/{n}.xml": f"JPEGImages/{name}" for n, name in enumerate(NAMES)}
    texts["ImageSets/Main/train.txt"] = "0\n1\n2\n3\n"
    texts["ImageSets/Main/test.txt"] = "4\n5\n"
    images = tuple(f"JPEGImages/{name}" for name in NAMES)
    return Layout({"layout": "voc"}, texts, images, own)


def _coco() -> Layout:
    images = [
        {"id": n, "file_name": name, "width": WIDTH, "height": HEIGHT}
        for n, name in enumerate(NAMES)
    ]
    annotations = [
        {"id": n, "image_id": n, "category_id": 1 + n % 2, "iscrowd": 0, "area": 96,
         "bbox": [_box(n)[0], _box(n)[1], 8, 12], "segmentation": [[1, 2, 9, 2, 9, 14]]}
        for n in range(COUNT)
    ]  # fmt: skip
    categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES, start=1)]
    record = {"images": images, "annotations": annotations, "categories": categories}
    return Layout(
        {"layout": "coco"},
        {"annotations/instances_train.json": json.dumps(record, indent=1)},
        tuple(f"train/{name}" for name in NAMES),
    )


def _boxes_csv() -> Layout:
    lines = ["filename,width,height,class,xmin,ymin,xmax,ymax,split,group"]
    for number, name in enumerate(NAMES):
        corners = ",".join(map(str, _box(number)))
        split = "test" if number > 3 else "train"
        lines.append(f"{name},{WIDTH},{HEIGHT},{CLASSES[number % 2]},{corners},{split},g{number}")
    return Layout({"layout": "boxes_csv"}, {"boxes.csv": "\n".join(lines) + "\n"})


def _yolo() -> dict[str, Layout]:
    texts: dict[str, str | bytes] = {}
    for number in range(COUNT):
        side = "train" if number < 4 else "val"
        texts[f"labels/{side}/{number}.txt"] = (
            f"{number % 2} 0.4 0.5 0.25 0.3\n1 .1 .1 .2 .1 .2 .3\n"
        )
    images = tuple(f"images/{'train' if n < 4 else 'val'}/{name}" for n, name in enumerate(NAMES))
    own = dict(zip(texts, images, strict=True))
    sheet = "path: ../sets\ntrain: images/train\nval:\n  - images/val\nnc: 2\nnames: [ant, bee]\n"
    listed = {f"obj/{Path(name).name}": text for name, text in texts.items()}
    listed["obj.data"] = "classes = 2\ntrain = train.txt\nvalid = test.txt\nnames = obj.names\n"
    listed["obj.names"] = "ant\nbee\n"
    listed["train.txt"] = "".join(f"obj/{name}\n" for name in NAMES[:4])
    listed["test.txt"] = "".join(f"/home/x/obj/{name}\n" for name in NAMES[4:])
    return {
        "yolo": Layout({"layout": "yolo"}, {**texts, "data.yaml": sheet}, images, own),
        "darknet": Layout({"layout": "yolo"}, listed, tuple(f"obj/{name}" for name in NAMES)),
    }


def _tables() -> dict[str, Layout]:
    rows = [
        (name, CLASSES[number % 2], "test" if number > 3 else "train", f"g{number}")
        for number, name in enumerate(NAMES)
    ]
    table = pd.DataFrame(rows, columns=["path", "label", "split", "group"])
    flags = table[["path"]].assign(ant=[1, 0] * 3, bee=[0, 1] * 3)
    parquet = io.BytesIO()
    table.to_parquet(parquet)
    several = {"layout": "table", "multi_label": True, "label_columns": ["ant", "bee"]}
    return {
        "table": Layout({"layout": "table"}, {"labels.csv": table.to_csv(index=False)}),
        "flags": Layout(several, {"labels.csv": flags.to_csv(index=False, sep=";")}),
        "parquet": Layout({"layout": "table"}, {"labels.parquet": parquet.getvalue()}),
        "torchvision": Layout({"layout": "torchvision"}, {".exported": ""}, _in_folders()),
        "folders": Layout({"layout": "folders", "group_pattern": r"(\d)\.png"}, {}, _in_folders()),
    }


def _in_folders() -> tuple[str, ...]:
    return tuple(f"{CLASSES[number % 2]}/{name}" for number, name in enumerate(NAMES))


def _masks() -> dict[str, Layout]:
    tables: dict[str, str | bytes] = {
        "classes.txt": "ant\nbee\n",
        "label_colors.txt": "0 0 0 ant\n1 1 1 bee\n",
        "labelmap.txt": "# label:color_rgb:parts:actions\nant:0,0,0::\nbee:1,1,1::\n",
        "class_dict.csv": "name,r,g,b\nant,0,0,0\nbee,1,1,1\n",
        "dataset_meta.json": '{"label_map": {"0": "ant", "1": "bee"}, '
        '"segmentation_colors": [[0, 0, 0], [1, 1, 1]]}',
        "objectInfo150.txt": "Idx\tRatio\tTrain\tVal\tName\n0\t.1\t5\t5\tant\n1\t.1\t5\t5\tbee\n",
    }
    images = tuple(f"images/{name}" for name in NAMES)
    masks = tuple(f"masks/{name}" for name in NAMES)
    return {
        f"masks by {name}": Layout({"layout": "masks"}, {name: text}, images, {}, masks)
        for name, text in tables.items()
    } | {
        "masks by options": Layout(
            {"layout": "masks", "class_names": list(CLASSES)}, {}, images, {}, masks
        ),
        "instances": Layout({"layout": "instances", "class_names": ["ant"]}, {}, images, {}, masks),
    }


def _labelme() -> dict[str, Layout]:
    texts: dict[str, str | bytes] = {}
    for number, name in enumerate(NAMES):
        x0, y0, x1, y1 = _box(number)
        points = [[x0, y0], [x1, y0], [x1, y1]]
        if number % 2:
            drawn = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in points)
            texts[f"{number}.xml"] = (
                f"<annotation><filename>{name}</filename><imagesize><nrows>{HEIGHT}</nrows>"
                f"<ncols>{WIDTH}</ncols></imagesize><object><name>bee</name><deleted>0</deleted>"
                f"<polygon>{drawn}</polygon></object></annotation>"
            )
            continue
        kinds = {"polygon": points, "rectangle": [[1, 1], [7, 9]], "circle": [[9, 9], [12, 9]]}
        shapes = [
            {"label": "ant", "points": where, "shape_type": kind} for kind, where in kinds.items()
        ]
        size = {"imageWidth": WIDTH, "imageHeight": HEIGHT}
        texts[f"{number}.json"] = json.dumps({"shapes": shapes, "imagePath": name, **size})
    own = {name: f"{Path(name).stem}.png" for name in texts}
    return {
        "labelme": Layout({"layout": "labelme"}, texts, NAMES, own),
        "labelme masks": Layout({"layout": "labelme", "truth": "masks"}, texts),
    }
