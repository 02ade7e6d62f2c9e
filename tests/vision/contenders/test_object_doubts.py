"""Objects whose class is likely wrong are named: boxes, and connected parts of masks."""

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from doubted_grounds import draw_scenes, flip, lay_real, objects_of
from task_grounds import BACKBONE, WIDTH, Scene, lay_scenes

from graft.vision.contenders.doubted import doubt_objects
from graft.vision.contenders.ground import Ground
from graft.vision.contenders.probe import extract_frozen_features, train_probe
from graft.vision.features.doubts import MOST, SHARE
from graft.vision.features.extraction import FrozenFeatures
from graft.vision.features.options import FeatureExtractionOptions, ProbingOptions
from graft.vision.records import DOUBTED

ENGINE = FeatureExtractionOptions(engine="torch")
DENSE = ("detection", "segmentation")
DRAWN = (1, 2)
"""The classes of drawn objects; a part of a mask that is stated as ground joins the ground."""


def features_of(ground: Ground, folder: Path) -> FrozenFeatures:
    return FrozenFeatures(extract_frozen_features(ground, folder, ENGINE), folder)


def doubts_of(ground: Ground, folder: Path) -> dict[str, Any]:
    return doubt_objects(ground, features_of(ground, folder), ground.new_model(), folds=5)


@pytest.fixture(scope="module", params=DENSE)
def drawn(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """80 images with some five hundred objects of two classes."""
    folder = tmp_path_factory.mktemp(request.param)
    return lay_scenes(request.param, folder / "pixels", draw_scenes(80))


@pytest.fixture(scope="module")
def features(drawn: Ground, tmp_path_factory: pytest.TempPathFactory) -> FrozenFeatures:
    return features_of(drawn, tmp_path_factory.mktemp("features"))


@pytest.mark.parametrize("seed", range(3))
def test_object_doubts__find_flipped_classes(
    drawn: Ground, features: FrozenFeatures, seed: int
) -> None:
    ground, count, hit = flip(drawn, SHARE, seed, DRAWN)
    found = doubt_objects(ground, features, ground.new_model(), folds=5)
    doubted = found[DOUBTED]
    assert found["training_objects"] >= 400 and count >= 12
    assert count / 2 <= len(doubted) <= np.ceil(SHARE * found["judged_objects"])
    precision = float(np.mean([hit(row) for row in doubted]))
    print(f"{drawn.task.name}: {precision:.2f} of {len(doubted)}")
    assert precision >= 0.5
    losses = [row["held_out_loss"] for row in doubted]
    assert losses == sorted(losses, reverse=True)
    assert all(row["stated"] != row["taken_for"] for row in doubted)


def test_object_doubts__say_where_an_object_lies_in_its_original(
    drawn: Ground, features: FrozenFeatures
) -> None:
    ground = flip(drawn, SHARE, 0, DRAWN)[0]
    stated = dict(zip(ground.rows["id"], objects_of(ground), strict=True))
    for row in doubt_objects(ground, features, ground.new_model(), folds=5)[DOUBTED]:
        one = stated[row["id"]][row["object"] - 1]
        assert row["box_xyxy"] == pytest.approx(one.box_xyxy, abs=0.05)
        assert row["stated"] == ground.classes.names[one.class_id]


@pytest.mark.parametrize("task", DENSE)
def test_object_doubts__stand_in_the_report_of_the_probe_and_not_on_its_card(
    task: str, tmp_path: Path
) -> None:
    ground = flip(lay_scenes(task, tmp_path / "pixels", draw_scenes(24)), SHARE, 0, DRAWN)[0]
    found = extract_frozen_features(ground, tmp_path / "features", ENGINE)
    options = ProbingOptions(epochs=1, batch_size=8)
    model, report = train_probe(ground, found, tmp_path / "features", tmp_path / "c", options)
    assert report[DOUBTED] and report["judged_objects"] == report["training_objects"]
    assert DOUBTED not in model.card.facts


@pytest.mark.parametrize("task", DENSE)
@pytest.mark.parametrize(
    "scenes",
    [
        draw_scenes(12, kinds=(1,)),
        draw_scenes(1),
        [Scene([], [])] * 3,
        [*draw_scenes(12, kinds=(1,)), Scene([(10, 4, 34, 30)], [2])],
    ],
    ids=["one class", "one image", "no objects", "one object of a class"],
)
def test_object_doubts__are_none_where_nothing_can_be_held_out(
    task: str, scenes: list[Scene], tmp_path: Path
) -> None:
    found = doubts_of(lay_scenes(task, tmp_path / "pixels", scenes), tmp_path / "features")
    # A mask has ground all around, which is a second class.
    rare = [row for row in found[DOUBTED] if row["stated"] == "pond"]
    assert found[DOUBTED] == [] or (task == "segmentation" and rare == [])


def test_object_doubts__keep_the_images_of_a_group_in_one_fold(
    drawn: Ground, features: FrozenFeatures
) -> None:
    together = replace(drawn, rows=drawn.rows.assign(group="one drive"))
    found = doubt_objects(together, features, drawn.new_model(), folds=5)
    assert found[DOUBTED] == [] and found["judged_objects"] == 0


@pytest.mark.parametrize("task", DENSE)
def test_object_doubts__are_of_what_the_middle_of_a_tiled_image_shows(
    task: str, tmp_path: Path
) -> None:
    backbone = BACKBONE.model_copy(update={"fit": "tiles"})
    drawn = lay_scenes(task, tmp_path / "pixels", draw_scenes(80), backbone)
    ground, _, hit = flip(drawn, 2 * SHARE, 0, DRAWN)
    found = doubts_of(ground, tmp_path / "features")
    assert 0 < found["judged_objects"] < 0.7 * found["training_objects"]
    middle = (WIDTH / 4, 3 * WIDTH / 4)
    for row in found[DOUBTED]:
        assert row["box_xyxy"][0] < middle[1] and row["box_xyxy"][2] > middle[0]
    assert np.mean([hit(row) for row in found[DOUBTED]]) >= 0.5


def test_object_doubts__are_none_of_a_task_that_has_no_objects(tmp_path: Path) -> None:
    ground = lay_scenes("classification", tmp_path / "pixels")
    assert [list(one) for one in objects_of(ground)] == [[]] * len(ground.rows)


# --- real images ----------------------------------------------------------------------------------

REAL: dict[str, tuple[str, int, dict[str, Any]]] = {
    "bccd": ("detection", 240, {"layout": "voc", "folder": "BCCD"}),
    "camvid": (
        "segmentation",
        200,
        {"layout": "masks", "folder": "CamVid", "convention": "camvid"},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "by_drive"), [("bccd", False), ("camvid", False), ("camvid", True)]
)
def test_object_doubts__find_flipped_classes_of_real_images(
    name: str, by_drive: bool, real_data: Path, tmp_path: Path
) -> None:
    """CamVid has four drives, whose frames tell of each other: by drive, three judge the fourth."""
    task, count, source = REAL[name]
    ground = lay_real(task, real_data / name, tmp_path, count, **source)
    table = extract_frozen_features(ground, tmp_path / "features", FeatureExtractionOptions())
    features = FrozenFeatures(table, tmp_path / "features")
    if by_drive:
        drives = [path.rsplit("/", 1)[1].split("_")[0] for path in ground.rows["id"]]
        ground = replace(ground, rows=ground.rows.assign(group=drives))
    for seed in range(3):
        flipped, _, hit = flip(ground, SHARE, seed)
        started = time.process_time()
        found = doubt_objects(flipped, features, ground.new_model(), folds=5)
        seconds = time.process_time() - started
        precision = float(np.mean([hit(row) for row in found[DOUBTED]]))
        print(f"{name}: {precision:.2f} of {len(found[DOUBTED])}, {seconds:.1f} s")
        assert len(found[DOUBTED]) == min(MOST, np.ceil(SHARE * found["judged_objects"]))
        assert precision >= 0.5
