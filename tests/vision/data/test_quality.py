"""The quality report: counts that agree with the tables, names for what is odd, plain JSON."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from graft.vision.data import quality as module
from graft.vision.data.manifest import build_manifest
from graft.vision.data.near_copies import PAIR_COLUMNS, find_near_copies, open_fingerprints
from graft.vision.data.options import IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.quality import quality_report
from graft.vision.data.splits import Splitting, split_manifest
from graft.vision.errors import DataError
from graft.vision.records import data_digest

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, Splitting]


def ingest(root: Path, work: Path, options: IngestionOptions) -> tuple[dict, Tables]:
    """All of ingestion, and its report."""
    store = PixelStore(work / "pixels", options.decoding)
    ingested = build_manifest(root, store, options)
    cache = open_fingerprints(work / "fingerprints", options.decoding)
    pairs = find_near_copies(ingested.manifest, store, cache, options.near_copies).pairs
    splitting = split_manifest(ingested.manifest, pairs, options.split)
    report = quality_report(
        ingested.manifest, ingested.quarantine, pairs,
        splitting.split_manifest, splitting.leaks, [*ingested.findings, *splitting.findings],
    )  # fmt: skip
    return report, (ingested.manifest, ingested.quarantine, pairs, splitting)


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """30 ants, 20 bees and two wasps; one image twice in two classes, two files broken."""
    root = tmp_path / "raw"
    for name, count in (("ant", 30), ("bee", 20), ("wasp", 2)):
        (root / name).mkdir(parents=True)
        for n in range(count):
            draw = np.random.default_rng([n, count])
            pixels = draw.integers(0, 255, (40 + n, 50, 3), np.uint8)
            Image.fromarray(pixels if n else pixels[:, :, 0]).save(
                root / name / f"p{n // 2}_{n}.png"
            )
    (root / "bee/p99_0.png").write_bytes((root / "ant/p0_1.png").read_bytes())
    (root / "ant/broken.png").write_bytes(b"no image")
    (root / "bee/empty.png").write_bytes(b"")
    return root


def test_quality_report__counts_images_by_class_and_split(raw: Path, tmp_path: Path) -> None:
    report, (manifest, _, _, splitting) = ingest(raw, tmp_path, IngestionOptions())
    assert report["images"] == 53 == len(manifest) == sum(report["splits"].values())
    assert report["data_sha256"] == data_digest(manifest)
    totals = {name: sum(counts.values()) for name, counts in report["classes"].items()}
    assert totals == {"ant": 30, "bee": 21, "wasp": 2}
    rows = splitting.split_manifest
    for name, counts in report["classes"].items():
        of_class = rows[rows["truth"] == json.dumps({"classes": [name]})]
        assert counts == {
            split: int((of_class["split"] == split).sum()) for split in ("train", "val", "test")
        }
    assert report["classes"]["wasp"] == {"train": 1, "val": 0, "test": 1}
    assert any("val has no image of 1 classes: wasp" in finding for finding in report["findings"])


def test_quality_report__names_what_was_refused_and_why(raw: Path, tmp_path: Path) -> None:
    report, _ = ingest(raw, tmp_path, IngestionOptions())
    assert report["quarantined"] == 2
    assert report["quarantine_reasons"] == {
        "not an image that can be read": 1,
        "the file is empty": 1,
    }


def test_quality_report__names_copies_with_another_truth(raw: Path, tmp_path: Path) -> None:
    report, (*_, splitting) = ingest(raw, tmp_path, IngestionOptions())
    assert report["exact_copies"] == 1 and report["near_copies"] == 0
    copy = report["copies_with_other_truth"][0]
    assert {copy["id_a"], copy["id_b"]} == {"ant/p0_1.png", "bee/p99_0.png"}
    said = "1 pairs of copies have different truths: ant/p0_1.png (ant) and bee/p99_0.png (bee)"
    assert said in report["findings"]
    rows = splitting.split_manifest.set_index("id")
    assert rows.loc[copy["id_a"], "split"] == rows.loc[copy["id_b"], "split"]


def test_quality_report__gives_sizes_channels_and_groups(raw: Path, tmp_path: Path) -> None:
    source = SourceOptions(group_pattern=r"p(\d+)_")
    report, (manifest, *_) = ingest(raw, tmp_path, IngestionOptions(source=source))
    assert report["size_px"]["height"] == {
        "least": 40,
        "median": float(np.median(manifest["height"])),
        "greatest": 69,
    }
    assert report["channels"] == {"3": 50, "1": 3}
    assert report["groups"] == manifest["group"].nunique() == 16
    assert "0" in report["groups_with_several_classes"]
    assert "14" not in report["groups_with_several_classes"]


def test_quality_report__names_leaks_of_a_given_split(tmp_path: Path) -> None:
    root = tmp_path / "raw"
    for split, count in (("train", 10), ("test", 4)):
        for n in range(count):
            folder = root / split / ("ant", "bee")[n % 2]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = np.random.default_rng([n, count]).integers(0, 255, (30, 30, 3), np.uint8)
            Image.fromarray(pixels).save(folder / f"{n}.png")
    (root / "train/ant/leak.png").write_bytes((root / "test/ant/0.png").read_bytes())
    report, _ = ingest(root, tmp_path, IngestionOptions())
    assert report["leaking_images"] == 1
    leak = report["leaks"][0]
    assert (leak["id"], leak["other_id"]) == ("train/ant/leak.png", "test/ant/0.png")
    assert report["images"] == 15 and sum(report["splits"].values()) == 14


def test_quality_report__is_plain_json_and_stays_short(raw, tmp_path, monkeypatch) -> None:
    for n in range(6):
        (raw / f"ant/copy{n}.png").write_bytes((raw / "ant/p0_1.png").read_bytes())
    monkeypatch.setattr(module, "MOST_NAMED", 3)
    report, _ = ingest(raw, tmp_path, IngestionOptions())
    assert json.loads(json.dumps(report)) == report
    assert report["exact_copies"] == 7 and len(report["copies"]) == 3


def test_quality_report__needs_no_copies_leaks_or_quarantine() -> None:
    rows = pd.DataFrame(
        {
            "id": ["a", "b"],
            "path": ["a", "b"],
            "sha256": ["1", "2"],
            "width": [3, 4],
            "height": [5, 6],
            "channels": [1, 3],
            "truth": ['{"classes": ["x"]}', '{"classes": ["x", "y"]}'],
            "group": ["", ""],
            "given_split": ["", ""],
            "notes": ["", "exif orientation 6; alpha laid on grey"],
        }
    )
    empty = pd.DataFrame(columns=["file", "row", "reason"])
    none = pd.DataFrame(columns=PAIR_COLUMNS)
    split = rows.assign(cluster=rows["id"], split=["train", "test"])
    report = quality_report(rows, empty, none, split, pd.DataFrame(), [])
    assert report["classes"] == {
        "x": {"train": 1, "val": 0, "test": 1},
        "y": {"train": 0, "val": 0, "test": 1},
    }
    assert report["notes"] == {"exif orientation 6": 1, "alpha laid on grey": 1}
    assert report["copies"] == report["leaks"] == report["copies_with_other_truth"] == []
    assert json.loads(json.dumps(report)) == report


def test_quality__stops_a_run_whose_quarantine_is_too_large(raw: Path, tmp_path: Path) -> None:
    for n in range(6):
        (raw / f"bee/broken{n}.png").write_bytes(b"no image")
    with pytest.raises(DataError) as stop:
        ingest(raw, tmp_path, IngestionOptions())
    words = str(stop.value)
    assert "8 of 61 images" in words and "share of 0.1" in words
    assert "broken" in words and "next: mend or remove those files" in words
    report, _ = ingest(raw, tmp_path, IngestionOptions(quarantine_share_max=0.2))
    assert report["quarantined"] == 8


def test_quality_report__tells_the_known_defects_of_xray(real_data: Path, tmp_path: Path) -> None:
    source = SourceOptions(group_pattern=r"/(\d{6,})_\d+\.\w+$")
    report, _ = ingest(real_data / "xray_3class", tmp_path, IngestionOptions(source=source))
    totals = {name: sum(counts.values()) for name, counts in report["classes"].items()}
    assert totals == {"Covid-19": 124, "No_findings": 166, "Pneumonia": 166}
    assert len(report["groups_with_several_classes"]) == 3
    assert report["quarantined"] == 0 and report["channels"].keys() == {"1", "3", "4"}
