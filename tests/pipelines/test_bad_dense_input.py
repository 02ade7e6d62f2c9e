"""Bad boxes and masks end a run in one clear message too, and where they can, stop nobody else."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image
from test_bad_input import assert_one_message, digests, untouched  # noqa: F401  (a fixture)
from test_bad_input import kedro as kedro
from test_whole_road import copy_project

CASE, RAW = "tiny", "data/01_raw/tiny"
SMALL: dict[str, Any] = {
    "ingestion": {"near_copies": {"enabled": False}},
    "backbone": {"name": "test_efficientnet", "weights": "none", "image_size_px": 64},
    "feature_extraction": {"engine": "torch"},
    "probing": {"epochs": 1},
    "fine_tuning": {"epochs": 1},
}
SOURCES = {
    "detection": {"layout": "voc"},
    "segmentation": {
        "layout": "masks",
        "images_folder": "JPEGImages",
        "masks_folder": "masks",
        "class_names": ["floor", "ant", "bee"],
    },
}
Draw = Callable[[Path], None]
Run = Callable[..., tuple[int, str]]


def draw_scenes(folder: Path, count: int = 14) -> None:
    """Two bright squares on a dim floor, as VOC boxes and as index masks."""
    for name in ("JPEGImages", "Annotations", "masks"):
        (folder / name).mkdir(parents=True)
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels, mask = rng.integers(0, 60, (96, 128, 3), np.uint8), np.zeros((96, 128), np.uint8)
        objects = ""
        for kind, name in enumerate(("ant", "bee"), start=1):
            x, y, side = (int(v) for v in rng.integers((5, 5, 18), (80, 50, 40)))
            pixels[y : y + side, x : x + side] = (255, 200 * (kind - 1), 50)
            mask[y : y + side, x : x + side] = kind
            objects += (
                f"<object><name>{name}</name><bndbox><xmin>{x}</xmin><ymin>{y}</ymin>"
                f"<xmax>{x + side}</xmax><ymax>{y + side}</ymax></bndbox></object>"
            )
        Image.fromarray(pixels).save(folder / f"JPEGImages/{number:02d}.png")
        Image.fromarray(mask).save(folder / f"masks/{number:02d}.png")
        text = f"<annotation><filename>{number:02d}.png</filename>{objects}</annotation>"
        (folder / f"Annotations/{number:02d}.xml").write_text(text)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A project with a case of boxes and masks that has not run."""
    project = copy_project(tmp_path / "project")
    draw_scenes(project / RAW)
    for file in (project / "conf" / CASE / "parameters").iterdir():
        file.unlink()
    return project


@pytest.fixture
def run(made: Path, kedro: Run) -> Iterator[Run]:
    """Run a task as far as its probe, with these settings on top."""

    def call(task: str, /, *arguments: str, **blocks: dict[str, Any]) -> tuple[int, str]:
        settings = {name: dict(block) for name, block in SMALL.items()}
        settings["ingestion"]["source"] = SOURCES[task]
        for name, block in blocks.items():
            settings[name] = {**settings.get(name, {}), **block}
        file = made / "conf" / CASE / "parameters" / f"{task}.yml"
        file.write_text(yaml.safe_dump({task: settings}))
        return kedro(*(arguments or ("--to-outputs", f"{task}.fine_tuned")))

    return call


@pytest.mark.parametrize(
    ("task", "blocks", "parts"),
    [
        ("detection", {"task": {"architecture": "yolo"}}, ["'faster_rcnn', 'retinanet' or 'fcos'"]),
        ("detection", {"task": {"anchor_scale": [2.0]}}, ["did you mean 'anchor_scales'?"]),
        ("segmentation", {"task": {"decoder": "fpm"}}, ["'fpn', 'unet', 'deeplabv3plus'"]),
        ("detection", {"backbone": {"image_size_px": 16}}, ["greater than or equal to 32"]),
        (
            "detection",
            {"ingestion": {"source": {"layout": "folders"}}},
            ["a truth of detection has no boxes", "ingestion.source.layout"],
        ),
        (
            "segmentation",
            {"ingestion": {"source": {"layout": "voc"}, "near_copies": {"enabled": False}}},
            ["a truth of segmentation has no mask", "ingestion.source.layout"],
        ),
        ("detection", {"ingestion": {"source": {"layout": "coco"}}}, ["no COCO annotation"]),
        (
            "segmentation",
            {"ingestion": {"source": {**SOURCES["segmentation"], "class_names": ["floor"]}}},
            ["a mask with values that name no class (1, 2)"],
        ),
    ],
)
def test_run__refuses_settings_of_dense_tasks_by_name(
    run: Run, task: str, blocks: dict[str, Any], parts: list[str]
) -> None:
    assert_one_message(run(task, **blocks), *parts)


@pytest.mark.parametrize(
    ("block", "parts"),
    [
        ({"cutmix_alpha": 0.5}, ["mixup and cutmix need truths of whole images", "cutmix_alpha"]),
        ({"frozen_stages": 99}, ["frozen_stages: the head must learn", "of conv_stem, blocks.0"]),
    ],
)
def test_run__refuses_what_a_training_of_boxes_cannot_do(
    run: Run, block: dict[str, Any], parts: list[str]
) -> None:
    code, said = run("detection", fine_tuning={"epochs": 1, **block})
    errors = [line for line in said.splitlines() if line.startswith("Error: ")]
    assert code == 1 and "Traceback" not in said and len(errors) == 1
    assert all(part in errors[0] for part in parts)


def swap_corners(raw: Path) -> None:
    for file in (raw / "Annotations").iterdir():
        file.write_text(file.read_text().replace("<xmin>", "<xmin>9"))


def take_objects_away(raw: Path) -> None:
    for file in (raw / "Annotations").iterdir():
        file.write_text("<annotation></annotation>")


def cut_annotations(raw: Path) -> None:
    for file in (raw / "Annotations").iterdir():
        file.write_text(file.read_text()[:40])


def fill_masks(value: int, size: tuple[int, int] = (96, 128)) -> Draw:
    def fill(raw: Path) -> None:
        for file in (raw / "masks").iterdir():
            Image.fromarray(np.full(size, value, np.uint8)).save(file)

    return fill


def take_masks_away(raw: Path) -> None:
    for file in (raw / "masks").iterdir():
        file.unlink()


@pytest.mark.parametrize(
    ("task", "spoil", "parts"),
    [
        ("detection", swap_corners, ["28 of 28 boxes", "Annotations/00.xml object 1", "exchange"]),
        ("detection", take_objects_away, ["fewer than one class are left to learn"]),
        ("detection", cut_annotations, ["14 unusable rows", "no sound XML"]),
        ("segmentation", fill_masks(0, (50, 60)), ["another size than the image", "60x50"]),
        ("segmentation", fill_masks(255), ["fewer than two classes are left to learn"]),
        ("segmentation", fill_masks(1), ["fewer than two classes are left to learn", "'ant'"]),
        ("segmentation", take_masks_away, ["14 images, 0 masks"]),
    ],
)
def test_run__refuses_truths_that_teach_nothing(
    made: Path, run: Run, task: str, spoil: Draw, parts: list[str]
) -> None:
    spoil(made / RAW)
    before = digests(made)
    assert_one_message(run(task), *parts)
    after = digests(made)
    assert {name: after[name] for name in before} == before


def test_run__names_a_bad_box_and_a_bad_mask_and_trains_on_the_rest(made: Path, run: Run) -> None:
    raw = made / RAW
    bad = raw / "Annotations/03.xml"
    bad.write_text(bad.read_text().replace("<name>bee</name>", "<name></name>"))
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(raw / "masks/04.png")
    for task, place in (("detection", "03.png"), ("segmentation", "04.png")):
        code, said = run(task, "--to-outputs", f"{task}.probe,{task}.quarantine")
        assert code == 0, said
        reports = made / "data/08_reporting" / CASE / task
        table = pd.read_csv(reports / "quarantine.csv", keep_default_na=False)
        assert list(table["file"]) == [f"JPEGImages/{place}"]
        assert table["reason"].str.len().min() > 10
        manifest = pd.read_parquet(made / "data/02_intermediate" / CASE / task / "manifest.parquet")
        kept = len(manifest)
        assert kept == (14 if task == "detection" else 13)  # a bad box costs itself, not its image
        assert all(json.loads(text)["classes"] for text in manifest["truth"])
