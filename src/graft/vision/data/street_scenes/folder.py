"""The rendered folder: written whole or not at all."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import cv2

from graft.vision.data.street_scenes.canvas import MASK_CLASSES
from graft.vision.data.street_scenes.coco import CocoRecord
from graft.vision.data.street_scenes.drives import SceneOrder, plan_parts
from graft.vision.data.street_scenes.options import StreetScenesOptions
from graft.vision.data.street_scenes.readme import (
    README_NAME,
    PartCounts,
    rendered_mark,
    write_readme,
)
from graft.vision.data.street_scenes.replacing import recover, replaced
from graft.vision.data.street_scenes.scene import Scene, render_scene
from graft.vision.errors import DataError
from graft.vision.records import Array

_SETTINGS = {".jpg": [cv2.IMWRITE_JPEG_QUALITY, 76], ".png": [cv2.IMWRITE_PNG_COMPRESSION, 9]}


def render_folder(
    folder: Path, options: StreetScenesOptions, say: Callable[[str], None] = lambda line: None
) -> None:
    """Render the sample into a folder; an earlier render of the same kind is replaced.

    It is built beside the folder and then moved, so that a reader never sees a part of it.

    Args:
        folder: to be made; it may exist when it is empty or an earlier render.
        options: how much, and from which seed.
        say: is given one line per part.

    Raises:
        DataError: when the folder holds anything else.
    """
    folder = folder.resolve()
    recover(folder)
    _refuse_foreign(folder, rendered_mark(options.drifted))
    with replaced(folder) as new:
        _write_all(new, options, say)


def begins_with(folder: Path, mark: str) -> bool:
    """Whether the README of a folder begins with this line."""
    readme = folder / README_NAME
    if not readme.is_file():
        return False
    return readme.read_text(encoding="utf-8", errors="replace").partition("\n")[0] == mark


def _refuse_foreign(folder: Path, mark: str) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not begins_with(folder, mark):
        raise DataError(
            f"{folder} is not replaced",
            found="a folder that holds something else" if folder.is_dir() else "a file",
            allowed=f"an empty folder, a new one, or one whose {README_NAME} begins with {mark}",
            mend="name another folder",
        )


def _write_all(folder: Path, options: StreetScenesOptions, say: Callable[[str], None]) -> None:
    parts = plan_parts(options)
    counts = {part: write_part(folder, part, orders, say) for part, orders in parts.items()}
    write_text(folder / "scenes" / "classes.txt", "\n".join(MASK_CLASSES) + "\n")
    write_text(folder / README_NAME, write_readme(options, parts, counts))


def write_part(
    folder: Path, part: str, orders: list[SceneOrder], say: Callable[[str], None]
) -> PartCounts:
    """Write the scenes of one part; boxes are added to those that its record already has."""
    began = perf_counter()
    boxes = folder / "scenes" / f"{part}.json"
    counts, record = PartCounts(), CocoRecord.of_file(part, boxes)
    for order in orders:
        scene = render_scene(order)
        record.add(f"{order.name}.jpg", scene)
        _write_scene(folder, part, order.name, scene)
        counts.scenes += 1
        counts.boxes.update(found.name for found in scene.objects)
        counts.signs.update(sign_class for sign_class, _ in scene.sign_crops)
    write_text(boxes, record.as_json_text())
    say(
        f"{part}: {counts.scenes} scenes, {counts.boxes.total()} boxes, "
        f"{counts.signs.total()} signs, {perf_counter() - began:.1f} s"
    )
    return counts


def _write_scene(folder: Path, part: str, name: str, scene: Scene) -> None:
    scenes = folder / "scenes" / part
    write_image(scenes / "images" / f"{name}.jpg", scene.picture[..., ::-1])
    write_image(scenes / "masks" / f"{name}.png", scene.mask)
    for number, (sign_class, crop) in enumerate(scene.sign_crops, start=1):
        file = folder / "signs" / part / sign_class / f"{name}_{number}.png"
        write_image(file, crop[..., ::-1])


def write_image(file: Path, pixels: Array) -> None:
    """Encode (H, W[, 3]) uint8, channels as OpenCV has them, in the form that the file's name ends
    with; OpenCV's own writing hides a full disk behind a False."""
    _, coded = cv2.imencode(file.suffix, pixels, _SETTINGS[file.suffix])
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(coded.tobytes())


def write_text(file: Path, text: str) -> None:
    """Write a file, in a folder that is made when it is not there."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
