"""Names that would do harm where they are not taken as text, and a small case that bears them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from tiny_roads import lay_conf

from copied_projects import copy_code

CASE, RAW = "hostile", "data/01_raw/hostile"
NAMES = (
    "<script>alert(1)</script>",
    "../x",
    "=cmd()",
    '"; touch pwned; "',
    "%s%n{0}${HOME}`id`",
    "new\nline",
    "\u202egnp.exe",
    "\U0001f41c ant",
    "n" * 300,
    "<img src=x onerror=alert(1)>&amp;",
    "| a | b\\",
)
"""Of classes."""
FILES = (
    "<b onclick=alert(1)>.png",
    "=HYPERLINK(1).png",
    "a; touch pwned;.png",
    "$(touch pwned).png",
    "%s%n.png",
    "-rf.png",
    "\u202egnp.png",
    "\U0001f41c.png",
    "new\nline.png",
    "@sum.png",
)
"""Of images; the last may be broken, to stand in the quarantine."""
SMALL: dict[str, Any] = {
    "ingestion": {"near_copies": {"enabled": False}, "workers": 1},
    "backbone": {
        "name": "test_efficientnet", "weights": "none", "image_size_px": 64, "fit": "squash",
    },
    "feature_extraction": {"engine": "torch"},
    "fine_tuning": {"epochs": 1},
    "control": {"epochs": 1},
    "evaluation": {"resamples": 100, "attention_images": 2, "worst_images": 6},
}  # fmt: skip
SOURCES: dict[str, dict[str, Any]] = {
    "classification": {
        "layout": "table", "folder": "kinds", "table": ["labels.parquet"],
        "group_column": "group", "images_folder": "images",
    },
    "detection": {"layout": "coco", "folder": "scenes"},
}  # fmt: skip
PROBES = {"classification": {"strengths": [0.1, 1.0], "folds": 2}, "detection": {"epochs": 1}}


def lay_hostile_project(project: Path) -> Path:
    """A copy of the project whose case has hostile names of classes, files and groups."""
    copy_code(project)
    draw(project / RAW)
    lay_conf(project, RAW, {task: {**SMALL, "probing": PROBES[task]} for task in SOURCES}, SOURCES)
    return project


def draw(folder: Path, images: int = 6) -> None:
    """Each kind in six images, as a class in a table and as a box in COCO."""
    for place in ("kinds/images", "scenes/images"):
        (folder / place).mkdir(parents=True)
    rows, records, boxes = [], [], []
    for number in range(images * len(NAMES)):
        kind = number % len(NAMES)
        file = FILES[number] if number < len(FILES) else f"{number:03d}.png"
        pixels, box = _scene(number, kind)
        for place in ("kinds", "scenes"):
            Image.fromarray(pixels).save(folder / place / "images" / file)
        rows.append((file, NAMES[kind], f"{NAMES[kind]}/{number // 22}"))
        records.append({"id": number, "file_name": file, "width": 64, "height": 64})
        boxes.append({"id": number, "image_id": number, "category_id": kind, "bbox": box})
    rows.append((f"../{FILES[0]}", NAMES[0], NAMES[0]))
    boxes.append({"id": FILES[0], "image_id": 0, "category_id": 0, "bbox": [1, 1, -5, 5]})
    (folder / "kinds/images" / FILES[-1]).write_bytes(b"no image")
    (folder / "scenes/images" / FILES[-1]).write_bytes(b"no image")
    table = pd.DataFrame(rows, columns=["path", "label", "group"])
    table.to_parquet(folder / "kinds/labels.parquet")
    categories = [{"id": kind, "name": name} for kind, name in enumerate(NAMES)]
    coco = {"images": records, "annotations": boxes, "categories": categories}
    (folder / "scenes/all.json").write_text(json.dumps(coco))


def _scene(number: int, kind: int) -> tuple[np.ndarray, list[int]]:
    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 60, (64, 64, 3), np.uint8)
    x, y, side = (int(value) for value in rng.integers((2, 2, 16), (40, 40, 24)))
    pixels[y : y + side, x : x + side] = (255, 20 * kind, 250 - 20 * kind)
    return pixels, [x, y, side, side]
