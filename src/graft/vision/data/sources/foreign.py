"""Formats that are known by name and not read: better a name than a wrong guess.

Each is known by files that it alone has, looked for below a folder.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from graft.vision.data.file_bytes import read_stated
from graft.vision.data.polygons import parse_xml
from graft.vision.data.sources.class_tables import find_class_table
from graft.vision.data.sources.folders import files_like, is_image, walk_files
from graft.vision.data.sources.reading import is_image_name
from graft.vision.errors import DataError, UnusableImageError

_CONVERT = "convert it to COCO, VOC, YOLO, LabelMe or mask folders"
_JSON_BYTES_MAX = 1 << 26
_VIDEO = (".mp4", ".avi", ".mov", ".mkv")


@dataclass(frozen=True)
class Foreign:
    """A format's name, the patterns of which any file makes it, and what to do."""

    name: str
    any_of: tuple[str, ...] = ()
    test: Callable[[Path], bool] = lambda folder: True
    mend: str = _CONVERT


def refuse_foreign(folder: Path) -> None:
    """Raise `DataError` that names the format, when the folder holds one that is not read."""
    for form in FOREIGN:
        files = _first_files(folder, form.any_of)
        if (files or not form.any_of) and form.test(folder):
            raise DataError(
                f"{folder} holds {form.name}, which is not read here",
                found=", ".join(path.relative_to(folder).as_posix() for path in files) or None,
                allowed="class folders, tables, VOC, COCO, YOLO, box tables, mask folders, "
                "instance masks, LabelMe",
                mend=form.mend,
            )


def _first_files(folder: Path, patterns: Sequence[str]) -> list[Path]:
    for pattern in patterns:
        found = [path for path in islice(folder.glob(pattern), 1) if ".git" not in path.parts]
        if found:
            return found
    return []


def _json_of(path: Path) -> Any:
    try:
        if path.stat().st_size > _JSON_BYTES_MAX:
            return None
        return json.loads(read_stated(path))
    except (ValueError, OSError, RecursionError):
        return None


def _some_json(folder: Path, test: Callable[[Any], bool]) -> bool:
    """Whether one of the first JSON files in the folder or in ``annotations`` is of a kind."""
    found = [*files_like(folder, "*.json")[:3], *files_like(folder, "annotations/*.json")[:3]]
    return any(test(_json_of(path)) for path in found)


def _has_cvat_xml(folder: Path) -> bool:
    for path in files_like(folder, "*.xml")[:3]:
        try:
            found = parse_xml(read_stated(path)).tag == "annotations"
        except (UnusableImageError, OSError):
            continue
        if found:
            return True
    return False


def _is_datumaro(record: Any) -> bool:
    return isinstance(record, dict) and "items" in record and "categories" in record


def _is_vott(record: Any) -> bool:
    return isinstance(record, dict) and "assets" in record and "tags" in record


def _is_segment_anything(record: Any) -> bool:
    return isinstance(record, dict) and isinstance(record.get("image"), dict)


def _has_only(*endings: str) -> Callable[[Path], bool]:
    """Whether files with these endings, and no image, lie in the folder."""

    def test(folder: Path) -> bool:
        files = list(islice(walk_files(folder), 10_000))
        return any(f.suffix.lower() in endings for f in files) and not any(map(is_image, files))

    return test


def _is_list_of_names(folder: Path) -> bool:
    """Whether a text file lists ``image class`` per line."""
    for path in files_like(folder, "*.txt")[:5]:
        with path.open("rb") as file:
            lines = file.read(4096).decode("utf-8", "replace").splitlines()[:5]
        cells = [line.replace(",", " ").split() for line in lines if line.strip()]
        if cells and all(len(row) >= 2 and is_image_name(row[0]) for row in cells):
            return not any(is_image_name(row[1]) for row in cells)
    return False


FOREIGN = (
    Foreign(
        "ADE20K in full (name_seg.png beside name_atr.txt or name.json)",
        ("**/*_atr.txt", "**/*_parts_1.png"),
        mend="use its scene parsing release (images/, annotations/), or " + _CONVERT,
    ),
    Foreign("CelebA", ("Anno/*celeba*", "Anno/*CelebA*")),
    Foreign("AVA actions", ("annotations/ava_*", "ava_*.csv")),
    Foreign("BraTS", ("HGG_*_data_cropped.npy",)),
    Foreign("NIfTI volumes", ("*.nii", "*.nii.gz", "*/*.nii", "*/*.nii.gz")),
    Foreign("super resolution pairs", ("HR/*",), test=lambda f: (f / "LR").is_dir()),
    Foreign(
        "CVAT XML", ("*.xml",), _has_cvat_xml, "export it from CVAT as COCO, VOC, YOLO or masks"
    ),
    Foreign(
        "Datumaro JSON",
        ("annotations/*.json",),
        lambda folder: _some_json(folder, _is_datumaro),
    ),
    Foreign("DOTA's oriented boxes (labelTxt)", ("labelTxt/*.txt", "*/labelTxt/*.txt")),
    Foreign("ICDAR text", ("**/gt_img_*.txt", "**/*_GT.txt", "train/gt.txt", "*/train/gt.txt")),
    Foreign("ImageNet list files (synsets)", ("synsets*.txt",)),
    Foreign("KITTI raw sequences", ("velodyne_points", "tracklet_labels.xml")),
    Foreign("KITTI", ("training/image_2", "*/image_2")),
    Foreign("LFW", ("people.txt", "annotations/people.txt", "*/annotations/people.txt")),
    Foreign("Mapillary Vistas", ("config_v*.json",)),
    Foreign("Market-1501", ("bounding_box_train",)),
    Foreign("MARS", ("bbox_train",)),
    Foreign("MNIST", ("*idx3-ubyte*", "mnist*.csv")),
    Foreign("MOTS", ("instances/labels.txt", "*/instances/labels.txt")),
    Foreign("MOT sequences", ("gt/gt.txt", "*/gt/gt.txt", "seqinfo.ini")),
    Foreign("MPII key points", ("mpii_*.mat", "mpii_annotations.json")),
    Foreign("MVTec AD", ("*/ground_truth", "ground_truth/*/*_mask.png")),
    Foreign("NYU depth (HDF5)", ("*.h5", "*/*.h5")),
    Foreign(
        "Open Images",
        (
            "annotations/*class-descriptions*.csv",
            "annotations/*-annotations-bbox.csv",
            "*class-descriptions*.csv",
        ),
        mend="use a box table: join the class names, and set box_unit to share",
    ),
    Foreign("CreateML JSON", ("*createml.json", "*/*createml.json")),
    Foreign(
        "a table of classes per split (_classes.csv)",
        ("*/_classes.csv",),
        mend="join the tables into one with a column split",
    ),
    Foreign("TFRecord", ("*.tfrecord", "*/*.tfrecord")),
    Foreign("VGGFace2", ("bb_landmark",)),
    Foreign("VoTT JSON", ("*.json",), lambda folder: _some_json(folder, _is_vott)),
    Foreign(
        "Segment Anything JSON",
        ("*.json",),
        lambda folder: _some_json(folder, _is_segment_anything),
    ),
    Foreign("WIDER FACE", ("wider_face_split", "WIDER_train")),
    Foreign(
        "SYNTHIA without a table of its colours",
        ("SemSeg/*.png", "GTTXT", "GTLeft/*.png"),
        lambda folder: find_class_table(folder, None) is None,
        "write label_colors.txt with a line `r g b name` per class beside the folders",
    ),
    Foreign(
        "annotations without their images",
        test=_has_only(".xml", ".json"),
        mend="bring the images beside them",
    ),
    Foreign("HDF5 or NumPy arrays", test=_has_only(".h5", ".hdf5", ".npy", ".npz", ".mat")),
    Foreign("archives", test=_has_only(".zip", ".tar", ".gz", ".7z"), mend="unpack them"),
    Foreign("videos", test=_has_only(*_VIDEO), mend="extract their frames, a group per video"),
    Foreign(
        "a list of names and classes without a header",
        ("*.txt",),
        _is_list_of_names,
        "write it as a table with the header path,label, or xmin,ymin,xmax,ymax beside them",
    ),
)
