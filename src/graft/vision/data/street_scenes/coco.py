"""The boxes of a part as one COCO record."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from graft.vision.data.street_scenes.canvas import BOX_CLASSES
from graft.vision.data.street_scenes.scene import PICTURE_HEIGHT_PX, PICTURE_WIDTH_PX, Scene


class CocoRecord:
    """Grows scene by scene; ids start at 1, as COCO's do."""

    def __init__(self, part: str) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._part = part

    @classmethod
    def of_file(cls, part: str, file: Path) -> Self:
        """What a file of ours holds, to go on from; nothing where there is none."""
        record = cls(part)
        if file.is_file():
            told = json.loads(file.read_text(encoding="utf-8"))
            record._images, record._annotations = told["images"], told["annotations"]
        return record

    def add(self, file_name: str, scene: Scene) -> None:
        """Add one picture with the boxes (x, y, width, height) of its objects."""
        image_id = self._add_image(file_name)
        for found in scene.objects:
            self._add_box(image_id, found.name, found.box_xywh, found.area_px)

    def add_copy(self, file_name: str, known_name: str) -> None:
        """Add a picture with the boxes of another, all under the name that it shows least of."""
        known = next(row["id"] for row in self._images if row["file_name"] == known_name)
        boxes = [row for row in self._annotations if row["image_id"] == known]
        shown = [BOX_CLASSES[row["category_id"] - 1] for row in boxes]
        other = min(BOX_CLASSES, key=shown.count)
        image_id = self._add_image(file_name)
        for row in boxes:
            self._add_box(image_id, other, row["bbox"], row["area"])

    def pictures_with(self, name: str) -> list[str]:
        """The file names of the pictures that have a box of this class."""
        category = BOX_CLASSES.index(name) + 1
        found = {row["image_id"] for row in self._annotations if row["category_id"] == category}
        return [row["file_name"] for row in self._images if row["id"] in found]

    def _add_image(self, file_name: str) -> int:
        image_id = int(self._images[-1]["id"]) + 1 if self._images else 1
        self._images.append(
            {
                "id": image_id,
                "file_name": file_name,
                "width": PICTURE_WIDTH_PX,
                "height": PICTURE_HEIGHT_PX,
            }
        )
        return image_id

    def _add_box(self, image_id: int, name: str, box_xywh: Sequence[int], area_px: int) -> None:
        self._annotations.append(
            {
                "id": self._annotations[-1]["id"] + 1 if self._annotations else 1,
                "image_id": image_id,
                "category_id": BOX_CLASSES.index(name) + 1,
                "bbox": list(box_xywh),
                "area": area_px,
                "iscrowd": 0,
            }
        )

    def as_json(self) -> dict[str, Any]:
        """The record in COCO's words."""
        return {
            "info": {"description": f"street_scenes, {self._part}: synthetic, rendered by graft"},
            "images": self._images,
            "annotations": self._annotations,
            "categories": [{"id": i, "name": name} for i, name in enumerate(BOX_CLASSES, start=1)],
        }

    def as_json_text(self) -> str:
        """The record as its file holds it."""
        return json.dumps(self.as_json()) + "\n"
