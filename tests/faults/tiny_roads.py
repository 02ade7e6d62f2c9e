"""A small case of all three tasks in a copy of the project, and what a whole run leaves of it."""

from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image

from copied_projects import copy_code

CASE, RAW = "tiny", "data/01_raw/tiny"
KINDS = ("ant", "bee")
SMALL: dict[str, Any] = {
    "ingestion": {"decoding": {"short_side_px": 64}, "workers": 1},
    "backbone": {
        "name": "test_efficientnet", "weights": "none", "image_size_px": 64, "fit": "squash",
    },
    "feature_extraction": {"engine": "torch"},
    "fine_tuning": {"epochs": 2},
    "control": {"epochs": 2},
    "evaluation": {"resamples": 100, "attention_images": 1, "worst_images": 2},
}  # fmt: skip
PROBES: dict[str, dict[str, Any]] = {
    "classification": {"strengths": [0.1], "folds": 2},
    "detection": {"epochs": 1},
    "segmentation": {"epochs": 1},
}
SOURCES: dict[str, dict[str, Any]] = {
    "classification": {"layout": "folders", "folder": "kinds"},
    "detection": {"layout": "voc", "folder": "scenes"},
    "segmentation": {
        "layout": "masks", "folder": "scenes", "images_folder": "JPEGImages",
        "masks_folder": "masks", "class_names": ["floor", *KINDS],
    },
}  # fmt: skip


def lay_project(project: Path) -> Path:
    """A copy of the project with the case of all tasks, which has not run."""
    copy_code(project)
    draw_case(project / RAW)
    settings = {task: {**SMALL, "probing": PROBES[task]} for task in SOURCES}
    lay_conf(project, RAW, settings, SOURCES)
    return project


def lay_conf(
    project: Path, raw: str, settings: dict[str, dict[str, Any]], sources: dict[str, dict[str, Any]]
) -> None:
    """The overlay of the case whose images lie at ``raw``, by task."""
    case = Path(raw).name
    parameters = project / "conf" / case / "parameters"
    parameters.mkdir(parents=True)
    (parameters.parent / "globals.yml").write_text(f"case: {case}\nraw: {raw}\n")
    for task, source in sources.items():
        said = {**settings[task], "ingestion": {**settings[task]["ingestion"], "source": source}}
        (parameters / f"{task}.yml").write_text(yaml.safe_dump({task: said}))


def draw_case(folder: Path, count: int = 16) -> None:
    """A bright square of one of two kinds on a dim floor: as class folder, VOC box, index mask."""
    scenes = folder / "scenes"
    for name in ("JPEGImages", "Annotations", "masks"):
        (scenes / name).mkdir(parents=True)
    for name in KINDS:
        (folder / "kinds" / name).mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels, mask = rng.integers(0, 60, (64, 64, 3), np.uint8), np.zeros((64, 64), np.uint8)
        kind, (x, y, side) = number % 2, rng.integers((2, 2, 16), (40, 40, 24))
        pixels[y : y + side, x : x + side] = (255, 200 * kind, 50)
        mask[y : y + side, x : x + side] = kind + 1
        Image.fromarray(pixels).save(scenes / f"JPEGImages/{number:02d}.png")
        Image.fromarray(pixels).save(folder / f"kinds/{KINDS[kind]}/{number:02d}.png")
        Image.fromarray(mask).save(scenes / f"masks/{number:02d}.png")
        (scenes / f"Annotations/{number:02d}.xml").write_text(
            f"<annotation><filename>{number:02d}.png</filename><object><name>{KINDS[kind]}</name>"
            f"<bndbox><xmin>{x}</xmin><ymin>{y}</ymin><xmax>{x + side}</xmax>"
            f"<ymax>{y + side}</ymax></bndbox></object></annotation>"
        )
