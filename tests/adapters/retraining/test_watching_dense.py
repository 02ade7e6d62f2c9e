"""Batches beside champions of boxes and masks: features are maps, truths are mended in place."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pytest
from watched_cases import NEW_IMAGES, WatchedCase, drawn, open_case, shown

from graft.adapters.retraining import asking
from graft.vision.backbones.pyramid import Pyramid

NEXT = 1000


@pytest.fixture(scope="module", params=["detection", "segmentation"])
def case(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WatchedCase]:
    """A champion that was not trained; the address of MLflow is as before when it ends."""
    before = mlflow.get_tracking_uri()
    yield open_case(request.param, tmp_path_factory.mktemp("watched"))
    mlflow.set_tracking_uri(before)


@pytest.fixture(autouse=True)
def spoken_here(case: WatchedCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The champion speaks in this process."""
    monkeypatch.setattr(asking, "say", case.say)


def found_in(case: WatchedCase) -> dict[str, Any]:
    found = case.watch()
    assert found is not None
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def test_watch__of_boxes_and_masks_a_clean_batch_passes(case: WatchedCase) -> None:
    assert isinstance(case.model.module.backbone, Pyramid)
    found = found_in(case.arrive("clean", drawn(NEXT, NEW_IMAGES)))
    assert not found["intake"]["held"]
    assert found["drift"]["verdict"] == "no drift found"
    assert found["accuracy"]["images"] == NEW_IMAGES
    assert found["accuracy"]["estimate"]["known"] is not None
    assert found["fallen"]["verdict"] != "fallen"
    assert isinstance(found["fallen"]["score"], float)


def test_watch__of_boxes_and_masks_a_night_batch_drifts(case: WatchedCase) -> None:
    night = shown(drawn(NEXT, NEW_IMAGES), lambda pixels: (pixels * 0.35).astype(np.uint8))
    found = found_in(case.arrive("night", night))
    assert found["drift"]["verdict"] == "drifted"
    assert "brightness" in found["drift"]["direction"]["likely"]


def correct(raw: Path) -> None:
    """Say that picture 4, a bee, is a wasp."""
    if (raw / "boxes.json").is_file():
        told = json.loads((raw / "boxes.json").read_text())
        told["annotations"][4]["category_id"] = 3
        (raw / "boxes.json").write_text(json.dumps(told))
    else:
        mask = cv2.imread(str(raw / "masks/0004.png"), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(raw / "masks/0004.png"), np.where(mask > 0, 3, 0))


def test_watch__a_truth_corrected_in_place_is_not_held(case: WatchedCase) -> None:
    found = found_in(case.arrive("corrected", also=correct))
    assert found["new"]["changed_truth"] == ["images/0004.png"]
    assert found["new"]["counts"] == {
        "added": 0, "changed_bytes": 0, "changed_truth": 1, "gone": 0, "withheld": 0,
    }  # fmt: skip
    assert not found["intake"]["held"]
    assert found["drift"]["verdict"] == found["fallen"]["verdict"] == "cannot tell"


def test_watch__a_corrected_truth_that_a_known_copy_contradicts_is_held(case: WatchedCase) -> None:
    brighter = shown(
        drawn(4, 1), lambda pixels: np.clip(pixels * 0.9 + 12, 0, 255).astype(np.uint8)
    )
    copied = case.arrive("copied", [replace(brighter[0], name="again.png")])
    known = replace(copied, split=copied.look().split_manifest)
    correct(known.case.raw)
    found = found_in(known)
    assert [reason["check"] for reason in found["intake"]["reasons"]] == ["conflicting copies"]
