"""The boxes of a part as one COCO record."""

from typing import Any

from graft.vision.data.street_scenes.canvas import BOX_CLASSES
from graft.vision.data.street_scenes.scene import PICTURE_HEIGHT_PX, PICTURE_WIDTH_PX, Scene


class CocoRecord:
    """Grows scene by scene; ids start at 1, as COCO's do."""

    def __init__(self, part: str) -> None:
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._part = part

    def add(self, file_name: str, scene: Scene) -> None:
        """Add one picture with the boxes (x, y, width, height) of its objects."""
        image_id = len(self._images) + 1
        self._images.append(
            {
                "id": image_id,
                "file_name": file_name,
                "width": PICTURE_WIDTH_PX,
                "height": PICTURE_HEIGHT_PX,
            }
        )
        for found in scene.objects:
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1,
                    "image_id": image_id,
                    "category_id": BOX_CLASSES.index(found.name) + 1,
                    "bbox": list(found.box_xywh),
                    "area": found.area_px,
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
