"""Truths that are likely wrong are ranked and shown; nothing is lost when one is mended."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hostile_names import FILES, NAMES
from label_sets import lay_table
from looked_at_pages import Page, looked_at
from torch import nn

from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone
from graft.vision.contenders.ground import lay_ground
from graft.vision.contenders.probe import extract_frozen_features, train_probe
from graft.vision.data.manifest import build_manifest
from graft.vision.data.options import DecodingOptions, IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.evaluation.report import ReportMaterial, render_report
from graft.vision.evaluation.report.page import visible
from graft.vision.features.doubts import SHARE, doubted_truths
from graft.vision.features.options import FeatureExtractionOptions, ProbingOptions
from graft.vision.features.probe import fit_probe
from graft.vision.records import DOUBTED, data_digest
from graft.vision.task import ClassTable
from graft.vision.tasks import choose_task

KINDS = ("ant", "bee", "wasp")
CLASSES = ClassTable(names=KINDS)


def flipped(truths: pd.Series, share: float, seed: int) -> tuple[pd.Series, set[int]]:
    """The truth texts with another class in this share of them, and which they are."""
    rng = np.random.default_rng(seed)
    places = rng.choice(len(truths), round(share * len(truths)), replace=False)
    names = sorted({json.loads(text)["classes"][0] for text in truths})
    changed = truths.copy()
    for place in places:
        now = json.loads(truths.iloc[place])["classes"][0]
        other = names[(names.index(now) + rng.integers(1, len(names))) % len(names)]
        changed.iloc[place] = json.dumps({"classes": [other]})
    return changed, set(map(int, places))


def clouds(count: int, seed: int) -> tuple[np.ndarray, pd.Series]:
    """Features of three kinds that overlap: about one image in twenty lies nearer to another."""
    rng = np.random.default_rng(seed)
    kinds = rng.integers(0, len(KINDS), count)
    centres = np.random.default_rng(0).normal(0, 1, (len(KINDS), 24))
    features = centres[kinds] + rng.normal(0, 1.6, (count, 24))
    texts = [json.dumps({"classes": [KINDS[kind]]}) for kind in kinds]
    return features.astype(np.float32), pd.Series(texts)


@pytest.mark.parametrize("seed", range(4))
def test_doubts__find_flipped_truths_by_what_was_held_out(seed: int) -> None:
    features, texts = clouds(900, seed)
    stated, wrong = flipped(texts, SHARE, seed)
    task = choose_task({"name": "classification"})[0]
    rows = pd.DataFrame({"id": [str(n) for n in range(900)], "view": 0, "truth": stated})
    fit = fit_probe(
        task, CLASSES, features, task.read_truth(list(stated), CLASSES, None), list(rows["id"]),
        nn.Linear(24, 3), ProbingOptions(),
    )  # fmt: skip
    doubted = doubted_truths(rows, fit.held_out, CLASSES)
    hits = [int(row["id"]) in wrong for row in doubted]
    assert len(doubted) == 27
    assert np.mean(hits) >= 0.5
    losses = [row["held_out_loss"] for row in doubted]
    assert losses == sorted(losses, reverse=True)
    named = [row for row in doubted if int(row["id"]) in wrong]
    right = [KINDS.index(row["taken_for"]) for row in named]
    truth = [KINDS.index(json.loads(texts[int(row["id"])])["classes"][0]) for row in named]
    assert np.mean(np.array(right) == truth) > 0.8


def test_doubts__look_at_plain_views_alone_and_at_nothing_that_was_not_held_out() -> None:
    rows = pd.DataFrame({"id": ["a", "a"], "view": [0, 1], "truth": ['{"classes": ["ant"]}'] * 2})
    assert doubted_truths(rows, None, CLASSES) == []
    features, texts = clouds(60, 0)
    task = choose_task({"name": "classification"})[0]
    twice = np.repeat(features, 2, axis=0)
    stated = texts.repeat(2).reset_index(drop=True)
    names = [str(n // 2) for n in range(120)]
    fit = fit_probe(task, CLASSES, twice, task.read_truth(list(stated), CLASSES, None), names,
                    nn.Linear(24, 3), ProbingOptions())  # fmt: skip
    table = pd.DataFrame({"id": names, "view": [n % 2 for n in range(120)], "truth": stated})
    ids = [row["id"] for row in doubted_truths(table, fit.held_out, CLASSES)]
    assert len(ids) == len(set(ids)) == 2


def probed(root: Path, work: Path, share: float) -> tuple[dict[str, Any], set[str], pd.DataFrame]:
    """The probe's report on class folders of which a share has another truth; and which."""
    source = SourceOptions(layout="folders", folder="")
    options = IngestionOptions(source=source, decoding=DecodingOptions(short_side_px=160))
    manifest = build_manifest(root, PixelStore(work / "pixels", options.decoding), options).manifest
    rows = manifest.assign(split="train", cluster=manifest["id"])
    stated, places = flipped(rows["truth"], share, seed=1)
    wrong = {str(rows["id"].iloc[place]) for place in places}
    rows = rows.assign(truth=stated)
    names = sorted({json.loads(text)["classes"][0] for text in stated})
    backbone = BackboneOptions(image_size_px=128)
    ground = lay_ground(
        {"name": "classification"}, {"names": names, "exclusive": True}, rows, work / "pixels",
        options, backbone, describe_backbone(backbone), {}, seed=0,
    )  # fmt: skip
    found = extract_frozen_features(ground, work / "features", FeatureExtractionOptions())
    model, report = train_probe(ground, found, work / "features", work, ProbingOptions())
    assert DOUBTED not in model.card.facts  # what travels with a model names no image
    return report, wrong, rows


@pytest.mark.slow
def test_doubts__find_flipped_truths_of_real_images(real_data: Path, tmp_path: Path) -> None:
    torch.set_num_threads(1)
    report, wrong, rows = probed(real_data / "hymenoptera", tmp_path, SHARE)
    doubted = report[DOUBTED]
    assert len(doubted) == int(np.ceil(SHARE * len(rows)))
    assert np.mean([row["id"] in wrong for row in doubted]) >= 0.5


# --- how they are shown --------------------------------------------------------------------------


def page_of(doubted: list[dict[str, Any]]) -> str:
    """The report of a case of which nothing is known but these doubts."""
    row = {"name": "probe", "value": 0.5, "low": 0.4, "high": 0.6, "minutes": 1.0}
    table = [{**row, "difference_to_best": None, "p_value_corrected": None}]
    verdict = {"images": 1, "units": 1, "confidence": 0.95, "sentences": [], "table": table}
    quality: dict[str, Any] = {"images": 1, "splits": {"train": 1, "val": 0, "test": 0}}
    counts = ("quarantined", "exact_copies", "near_copies", "leaking_images", "groups")
    more = {"findings": [], "leaks": [], "copies": [], DOUBTED: doubted}
    return render_report(
        ReportMaterial(
            case="drawn", task="detection", primary="map",
            verdict={**verdict, "chosen": "probe", "best": "probe"}, scores={},
            per_class=pd.DataFrame({"class": ["ant"], "images": [1]}),
            confusion=pd.DataFrame([[1]], index=["ant"], columns=["ant"]),
            histories={}, reliability={}, worst=[], attention=[],
            quality={**quality, **dict.fromkeys(counts, 0), **more},
            policy_preview=b"\x89PNG", facts={},
        )
    )  # fmt: skip


def doubts_with(**more: Any) -> list[dict[str, Any]]:
    """Each hostile name as an image, a stated class, and what it is taken for."""
    names = zip(FILES, NAMES, reversed(NAMES), strict=False)
    return [
        {"id": file, "stated": one, "taken_for": other, "held_out_loss": 1.5, **more}
        for file, one, other in names
    ]


def test_page__shows_where_a_doubted_object_lies_and_takes_no_name_for_more_than_text() -> None:
    page = page_of(doubts_with(object=7, box_xyxy=[3.4, 5.0, 30.6, 41.0]))
    seen = Page(page)
    shown = " ".join(seen.text.split())
    assert "<th>where</th>" in page and shown.count("3, 5 to 31, 41") == len(FILES)
    wanted = [" ".join(visible(name).split()) for name in (*FILES, *NAMES[: len(FILES)])]
    assert [name for name in wanted if name not in shown] == []
    assert not {"script", "b onclick", "iframe"} & seen.tags
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    asked, complaints, document = looked_at(page.encode())
    assert asked == ["/page.html"] and complaints == [] and "<script" not in document


def test_page__of_doubted_images_has_no_places_and_of_no_doubts_says_nothing() -> None:
    page = page_of(doubts_with())
    assert "Truths to look at" in page and "<th>where</th>" not in page
    assert "objects" not in Page(page).text
    assert "Truths to look at" not in Page(page_of([])).text


# --- a label that is mended ----------------------------------------------------------------------


def ingested(root: Path, work: Path) -> pd.DataFrame:
    source = SourceOptions(layout="table", images_folder="images")
    options = IngestionOptions(source=source)
    return build_manifest(root, PixelStore(work / "pixels", options.decoding), options).manifest


def test_label__that_is_mended_makes_a_version_beside_the_old_one(tmp_path: Path) -> None:
    """With DVC, as a case keeps its raw data: no image is lost, and both versions can be read."""
    root = tmp_path / "repository/raw"
    lay_table(root)
    before = ingested(root, tmp_path)
    dvc(root.parent, "init", "--quiet", "--no-scm")
    dvc(root.parent, "add", "--quiet", "raw")
    pointer = root.parent / "raw.dvc"
    old = pointer.read_text()
    table = root / "table.csv"
    table.unlink()  # as DVC may hold it by a link
    lay_table(root)
    table.write_text(table.read_text().replace("03.png,bee", "03.png,ant"))
    after = ingested(root, tmp_path)
    assert list(after["id"]) == list(before["id"]) and list(after["sha256"]) == list(
        before["sha256"]
    )
    assert data_digest(after) != data_digest(before)
    assert list(after["id"][after["truth"] != before["truth"]]) == ["images/03.png"]
    dvc(root.parent, "add", "--quiet", "raw")
    assert pointer.read_text() != old
    pointer.write_text(old)
    dvc(root.parent, "checkout", "--quiet", "--force")
    assert data_digest(ingested(root, tmp_path)) == data_digest(before)


def dvc(folder: Path, *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("dvc")), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-1000:]
