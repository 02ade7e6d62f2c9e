"""Boxes and masks are promoted by the rule of classes: floors by AP and IoU, and bytes that say it.

The champion's and challenger's truth is what the good model says (see `promoted_cases`).
"""

import json
from collections.abc import Iterator
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from promoted_cases import Registry, open_registry, predict_here, untrained

from graft.adapters.promotion.clean_process import disagreement, predict_cleanly
from graft.adapters.promotion.promoting import compare_versions, promote
from graft.adapters.promotion.rolling_back import roll_back
from graft.adapters.registry import version_at
from graft.vision.data.masks import decode_mask, encode_mask

CLEAN = "graft.adapters.promotion.loading.predict_cleanly"


@pytest.fixture(scope="module", params=["detection", "segmentation"])
def registry(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Registry]:
    """Version 1 knows little; version 2 is right."""
    before = mlflow.get_tracking_uri()
    found = open_registry(tmp_path_factory.mktemp(request.param), request.param)
    found.keep(untrained(found, seed=1))
    found.keep(found.model)
    assert found.number == "2"
    yield found
    mlflow.set_tracking_uri(before)


def test_dense_promotion__from_the_first_champion_to_the_better_one_and_back(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, name = registry.case, registry.case.model
    first = promote(case, f"{name}/1")  # in a clean process
    assert first["outcome"] == "promoted", first["reason"]
    monkeypatch.setattr(CLEAN, predict_here)
    better = promote(case, name)
    assert better["outcome"] == "promoted", better["reason"]
    assert better["scores"]["challenger"] == pytest.approx(1.0)
    assert better["scores"]["champion"] < 0.9
    assert better["difference"]["low"] > 0
    refused = promote(case, f"{name}/1")
    assert refused["outcome"] == "refused" and "better" in refused["refused_by"]
    monkeypatch.setattr(CLEAN, predict_cleanly)
    found = roll_back(case, name)  # in a clean process again
    assert "bit-identical" in found["predictions"]
    assert found["version"] == "1" == version_at(name, "champion")
    first_said = first["entry"]["evidence"]["predictions_sha256"]
    assert found["entry"]["evidence"]["predictions_sha256"] == first_said


def test_dense_compare__judges_again_by_the_registered_bytes(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CLEAN, predict_here)
    name = registry.case.model
    recorded = compare_versions(registry.case, f"{name}/2", f"{name}/1", again=False)
    again = compare_versions(registry.case, f"{name}/2", f"{name}/1", again=True)
    assert recorded["compared"] and again["compared"]
    assert again["scores"] == pytest.approx(recorded["scores"], abs=1e-3)
    floor = {check["rule"]: check["said"] for check in again["checks"]}["class_floor"]
    assert floor.startswith(
        {"detection": "ap of", "segmentation": "iou of"}[registry.case.task_name]
    )


def test_dense_promotion__names_the_class_below_its_floor(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CLEAN, predict_here)
    decision = promote(registry.by(**_floors(registry, 0.95)), f"{registry.case.model}/1")
    again = compare_versions(
        registry.by(**_floors(registry, 0.95)), f"{registry.case.model}/1",
        f"{registry.case.model}/2", again=False,
    )  # fmt: skip
    failed = {check["rule"]: check["said"] for check in again["checks"] if not check["held"]}
    low = [
        k
        for k, v in again["classes"].items()
        if v["challenger"] != "n/a" and v["challenger"] < 0.95
    ]
    assert low and all(f"{kind}: " in failed["class_floor"] for kind in low)
    assert decision["outcome"] in ("refused", "stands already")


def _floors(registry: Registry, floor: float) -> dict[str, Any]:
    rule = registry.case.rule
    assert rule is not None
    return {**rule.model_dump(include={"class_score", "class_images_min"}), "class_floor": floor}


def _mask(said: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"prediction": [json.dumps({"png": encode_mask(said), "names": ["a"]})]})


def test_disagreement__passes_over_pixels_that_rounding_moves_and_no_more() -> None:
    recorded = np.zeros((100, 100), np.uint8)
    rounded, other = recorded.copy(), recorded.copy()
    rounded[0, :5], other[0, :50] = 1, 1
    assert disagreement(_mask(recorded), _mask(rounded)) is None
    assert "prediction of test image 1" in str(disagreement(_mask(recorded), _mask(other)))
    assert disagreement(_mask(recorded), _mask(recorded[:50])) is not None
    assert (decode_mask(encode_mask(other)) == other).all()
