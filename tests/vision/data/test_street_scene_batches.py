"""Batches of the sample: light, new drives laid into a render, and ways to spoil them."""

import hashlib
import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from rendered_files import brightness, files_of

from graft.vision.backbones.backbone import Backbone
from graft.vision.data.manifest import build_manifest
from graft.vision.data.near_copies import open_fingerprints
from graft.vision.data.options import IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.street_scenes import (
    StreetScenesOptions,
    add_batch,
    batch,
    render_folder,
)
from graft.vision.data.street_scenes.__main__ import main
from graft.vision.data.street_scenes.canvas import BOX_CLASSES, MASK_CLASSES
from graft.vision.data.street_scenes.options import share_drives
from graft.vision.errors import DataError, OptionsError
from graft.vision.monitoring.batch import Batch
from graft.vision.monitoring.copies import find_copies_of_known
from graft.vision.monitoring.drift import CLEAN, DRIFTED, find_drift
from graft.vision.monitoring.intake import Arrival, judge_intake
from graft.vision.monitoring.options import DriftOptions, IntakeOptions
from graft.vision.records import QUARANTINE_COLUMNS, new_table

DAY = StreetScenesOptions(light="day", scenes_per_drive=2, **share_drives(14))
BATCH = {"scenes_per_drive": 2, **share_drives(8)}
SOURCES = {
    "classification": {
        "layout": "folders",
        "folder": "signs",
        "group_pattern": r"/(d\d+)_s\d+_\d+\.png$",
    },
    "detection": {
        "layout": "coco",
        "folder": "scenes",
        "group_pattern": r"/(d\d+)_s\d+\.jpg$",
    },
    "segmentation": {
        "layout": "masks",
        "folder": "scenes",
        "group_pattern": r"/(d\d+)_s\d+\.jpg$",
    },
}
every_task = pytest.mark.parametrize("task", SOURCES)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """14 drives by day; only to be read."""
    folder = tmp_path_factory.mktemp("raw") / "day"
    render_folder(folder, DAY)
    return folder


@pytest.fixture(scope="module")
def night_after_day(day: Path) -> Path:
    """The same with 8 drives by night; only to be read."""
    return with_batch(day, day.with_name("night_after_day"), "night")


def with_batch(
    day: Path, target: Path, light: str, poison: batch.Poison | None = None, seed: int = 5
) -> Path:
    shutil.copytree(day, target)
    options = StreetScenesOptions.parse({"light": light, "seed": seed, **BATCH}, "test")
    add_batch(target, options, poison)
    return target


@cache
def digests_of(root: Path) -> dict[str, str]:
    return {name: hashlib.sha256(data).hexdigest() for name, data in files_of(root).items()}


def new_files(before: Path, after: Path) -> list[Path]:
    return [after / name for name in digests_of(after).keys() - digests_of(before).keys()]


# Laying a batch in.


def test_add_batch__changes_no_byte_of_what_was_there_but_the_boxes(
    day: Path, night_after_day: Path
) -> None:
    before, after = digests_of(day), digests_of(night_after_day)
    assert {name for name in before if after[name] != before[name]} == {
        "scenes/train.json",
        "scenes/test.json",
    }
    added = {path.name[:3] for path in new_files(day, night_after_day) if path.suffix != ".md"}
    assert added == {f"d{number}" for number in range(15, 23)}


@pytest.mark.parametrize("part", ["train", "test"])
def test_add_batch__boxes_go_on_with_ids_of_their_own(
    day: Path, night_after_day: Path, part: str
) -> None:
    before, after = (
        json.loads((root / "scenes" / f"{part}.json").read_text())
        for root in (day, night_after_day)
    )
    for rows in ("images", "annotations"):
        known = len(before[rows])
        assert after[rows][:known] == before[rows] and len(after[rows]) > known
        assert len({row["id"] for row in after[rows]}) == len(after[rows])
    images = {row["id"]: row["file_name"] for row in after["images"]}
    folder = night_after_day / "scenes" / part / "images"
    assert set(images.values()) == {path.name for path in folder.iterdir()}
    for row in after["annotations"][len(before["annotations"]) :]:
        assert int(images[row["image_id"]][1:3]) >= 15


def test_add_batch__notes_what_it_is_and_how_it_was_made(night_after_day: Path) -> None:
    text = (night_after_day / "README_d15_to_d22.md").read_text()
    assert "Synthetic" in text and "FOLDER --add --seed 5 --light night --drives 8" in text
    assert "| d15 | train | night |" in text and "| d16 | train | rainy_night |" in text


def test_add_batch__can_be_added_to_again(day: Path, tmp_path: Path) -> None:
    folder = with_batch(day, tmp_path / "twice", "day")
    add_batch(folder, StreetScenesOptions(seed=5, scenes_per_drive=1, **share_drives(2)))
    drives = {int(path.name[1:3]) for path in folder.rglob("d*.jpg")}
    assert drives == set(range(1, 15 + 8 + 2))


def test_add_batch__the_same_call_gives_the_same_bytes(
    day: Path, night_after_day: Path, tmp_path: Path
) -> None:
    again = with_batch(day, tmp_path / "again", "night")
    assert digests_of(again) == digests_of(night_after_day)


def test_light__night_is_darker_by_far_and_shows_all_signs(
    day: Path, night_after_day: Path
) -> None:
    added = new_files(day, night_after_day)
    pictures = [path for path in added if path.suffix == ".jpg"]
    assert brightness(pictures) < 0.6 * brightness(list(day.rglob("*.jpg")))
    shown = {path.parent.name for path in added if "signs" in path.parts}
    assert shown == {path.name for path in (day / "signs" / "train").iterdir()}


def test_readme__of_the_whole_sample_names_no_new_flag(day: Path) -> None:
    assert StreetScenesOptions().flags == ""
    assert StreetScenesOptions(drifted=True).flags == " --drifted"
    assert "--seed 0 --light day --drives 14 --scenes 2`" in (day / "README.md").read_text()


# Whatever stops it.


def test_add_batch__a_failure_leaves_the_render_as_it_was(
    day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> str:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(batch, "write_batch_note", fail)
    with pytest.raises(OSError, match="no space"):
        with_batch(day, tmp_path / "raw", "day")
    assert digests_of(tmp_path / "raw") == digests_of(day)
    assert [path.name for path in tmp_path.iterdir()] == ["raw"], "something is left beside"


def test_add_batch__killed_at_any_time_leaves_the_render_and_can_be_repeated(
    day: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "raw"
    shutil.copytree(day, folder)
    command = [sys.executable, "-m", "graft.vision.data.street_scenes", str(folder), "--add"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("train:")
        process.kill()
    assert digests_of(folder) == digests_of(day)
    digests_of.cache_clear()
    add_batch(folder, StreetScenesOptions(scenes_per_drive=1, **share_drives(2)))
    assert len(new_files(day, folder)) > 4
    assert [path.name for path in tmp_path.iterdir()] == ["raw"], "something is left beside"


def test_add_batch__killed_between_two_names_brings_the_render_back(
    day: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "raw"
    shutil.copytree(day, folder)
    folder.rename(tmp_path / ".raw.old")
    with pytest.raises(OptionsError, match="drifted"):  # before anything is written
        add_batch(folder, StreetScenesOptions(drifted=True))
    assert digests_of(folder) == digests_of(day)


def test_add_batch__writes_where_dvc_has_linked_its_cache_and_leaves_the_cache(
    day: Path, tmp_path: Path
) -> None:
    cached, folder = tmp_path / "cache", tmp_path / "raw"
    shutil.copytree(day, cached)
    for file in cached.rglob("*.*"):
        if file.is_file():
            file.chmod(0o444)
            (folder / file.relative_to(cached)).parent.mkdir(parents=True, exist_ok=True)
            (folder / file.relative_to(cached)).hardlink_to(file)
    add_batch(folder, StreetScenesOptions(scenes_per_drive=1, **share_drives(2)), "changed")
    assert digests_of(cached) == digests_of(day)


@pytest.mark.parametrize("content", [None, "# my own data\n"])
def test_add_batch__refuses_what_is_no_render(tmp_path: Path, content: str | None) -> None:
    if content:
        (tmp_path / "README.md").write_text(content)
    with pytest.raises(DataError, match="render it first"):
        add_batch(tmp_path, StreetScenesOptions())


def test_main__adds_by_its_own_sizes_and_says_what_does_not_fit(
    day: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "raw"
    shutil.copytree(day, folder)
    assert main([str(folder), "--add", "--light", "night", "--poison", "changed"]) == 0
    signs = [p for p in new_files(day, folder) if "signs" in p.parts]
    assert 60 <= len(signs) <= 100
    assert "poison: changed" in capsys.readouterr().out
    assert main([str(folder), "--poison", "patch"]) == 1
    assert main([str(folder), "--drifted", "--light", "day"]) == 1
    assert main([str(folder), "--add", "--drives", "0"]) == 1
    assert main([str(folder), "--add", "--scenes", "0"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert "add --add" in said[0] and "light of its own" in said[1]
    assert "found: 0; allowed: 1 or more" in said[2] and "scenes_per_drive" in said[3]


# What monitoring says of them.


def judge(before: Path, after: Path, task: str) -> dict:
    options = IngestionOptions.parse({"source": SOURCES[task]}, "test")
    store = PixelStore(before.parent / "pixels", options.decoding)
    known, all_rows = (rows_of(folder, store, options) for folder in (before, after))
    stood = known.set_index("id")["sha256"].reindex(all_rows["id"]).to_numpy()
    new = all_rows[all_rows["sha256"].to_numpy() != stood].reset_index(drop=True)
    prints = open_fingerprints(before.parent / "prints", options.decoding)
    pairs = find_copies_of_known(known, new, store, prints, options.near_copies)
    pixels = [[store.read(sha256) for sha256 in side["sha256"]] for side in (known, new)]
    unusable = new_table([], QUARANTINE_COLUMNS)
    return judge_intake(Arrival(known, new, pairs, unusable, *pixels), IntakeOptions(), 0)


def rows_of(folder: Path, store: PixelStore, options: IngestionOptions) -> pd.DataFrame:
    found = build_manifest(folder, store, options)
    assert found.quarantine.empty
    return found.manifest.assign(unit=found.manifest["group"])


@every_task
def test_night__is_a_clean_batch_to_the_intake(day: Path, night_after_day: Path, task: str) -> None:
    assert judge(day, night_after_day, task)["reasons"] == []


@pytest.mark.parametrize(
    ("poison", "check"),
    [("labels", "conflicting copies"), ("patch", "patch"), ("changed", "changed source")],
)
def test_poison__is_held_by_the_intake_in_all_tasks(
    day: Path, tmp_path: Path, poison: batch.Poison, check: str
) -> None:
    folder = with_batch(day, tmp_path / "raw", "day", poison, seed=6)
    for task in SOURCES:
        reasons = judge(day, folder, task)["reasons"]
        assert [reason["check"] for reason in reasons] == [check], task
        assert all((folder / file).is_file() for file in reasons[0]["files"])


def test_poison_labels__calls_all_that_a_copy_shows_by_one_other_name(
    day: Path, tmp_path: Path
) -> None:
    folder = with_batch(day, tmp_path / "raw", "day", "labels")
    record = json.loads((folder / "scenes/train.json").read_text())
    copies = {row["id"]: row for row in record["images"] if row["file_name"][5:9] >= "1001"}
    assert len(copies) >= 3
    for image_id, row in copies.items():
        boxes = [box for box in record["annotations"] if box["image_id"] == image_id]
        assert len({BOX_CLASSES[box["category_id"] - 1] for box in boxes}) <= 1
        mask = cv2.imread(str(folder / "scenes/train/masks" / f"{row['file_name'][:-4]}.png"), -1)
        assert len(np.unique(mask)) == 1 and mask[0, 0] < len(MASK_CLASSES)


def embed(backbone: Backbone, files: list[Path]) -> Batch:
    crops = [cv2.imread(str(file))[..., ::-1] for file in files]
    views = np.stack([cv2.resize(c, (64, 64), interpolation=cv2.INTER_LINEAR) for c in crops])
    unit = torch.from_numpy(views).permute(0, 3, 1, 2).float() / 127.5 - 1
    with torch.inference_mode():
        features = np.concatenate([backbone(part).numpy() for part in unit.split(64)])
    return Batch(features, [file.name[:3] for file in files])


def test_drift__of_signs_is_found_by_night_and_not_by_another_day(
    day: Path, night_after_day: Path, lite0: Backbone, tmp_path: Path
) -> None:
    other_day = with_batch(day, tmp_path / "raw", "day")
    known = embed(lite0, sorted((day / "signs").rglob("*.png")))
    found = []
    for after in (night_after_day, other_day):
        signs = [path for path in new_files(day, after) if "signs" in path.parts]
        new = embed(lite0, sorted(signs))
        found.append(find_drift(known, new, DriftOptions(permutations=199), 0)["verdict"])
    assert found == [DRIFTED, CLEAN]
