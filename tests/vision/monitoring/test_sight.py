"""What a frozen backbone sees: pooled features as they are stored, maps by their mean."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from task_grounds import lay_scenes

from graft.vision.errors import StoreError
from graft.vision.features.extraction import extract_features
from graft.vision.features.options import FeatureExtractionOptions
from graft.vision.monitoring.image_statistics import image_statistics
from graft.vision.monitoring.sight import Sight, StoredPixels, mean_over_places
from graft.vision.tasks import TASKS

ENGINE = FeatureExtractionOptions(engine="torch", batch_size=3)


def sight_of(task: str, folder: Path) -> tuple[Sight, pd.DataFrame]:
    ground = lay_scenes(task, folder / "pixels")
    model = ground.new_model().eval()
    rows = ground.rows.assign(unit=ground.rows["id"])
    sight = Sight(model, ground.pixels, ground.preprocessing, folder / "features", ENGINE)
    return sight, rows


def test_mean_over_places__is_each_channels_mean() -> None:
    fine, coarse = np.arange(2 * 4 * 4.0), np.arange(3 * 2 * 2.0)
    laid = np.concatenate([fine, coarse]).astype(np.float16)
    found = mean_over_places(laid, [(2, 4, 4), (3, 2, 2)])
    assert found.tolist() == [7.5, 23.5, 1.5, 5.5, 9.5]
    assert mean_over_places(laid, ()).tolist() == laid.tolist()


@pytest.mark.parametrize("task", TASKS)
def test_sight__sees_each_task_as_extraction_does(task: str, tmp_path: Path) -> None:
    sight, rows = sight_of(task, tmp_path)
    batch = sight.batch(rows, ["hut", "pond"])
    assert batch.embeddings.shape[0] == len(rows)
    assert batch.embeddings.shape[1] < 3000  # maps are not laid end to end
    says_hut = ["hut" in json.loads(text)["classes"] for text in rows["truth"]]
    assert list(batch.statistics["class hut"]) == says_hut
    # By another road: what extraction stores is what is seen.
    stored = extract_features(
        rows, sight.pixels, sight.model, sight.preprocessing, tmp_path / "other", ENGINE
    )
    shapes = sight._shapes
    wanted = [mean_over_places(feature, shapes) for feature in stored.matrix(stored.table)]
    assert np.allclose(batch.embeddings, wanted, rtol=1e-4, atol=1e-5)
    assert (sight.batch(rows).embeddings == batch.embeddings).all()


def test_sight__reads_what_extraction_has_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sight, rows = sight_of("detection", tmp_path)
    extract_features(rows, sight.pixels, sight.model, sight.preprocessing, sight.folder, ENGINE)
    monkeypatch.setattr(Sight, "_engine", None)  # nothing is computed
    assert len(sight.batch(rows)) == len(rows)


def test_sight__twins_are_the_same_images_shifted(tmp_path: Path) -> None:
    sight, rows = sight_of("detection", tmp_path)
    twins = sight.twins(rows)
    plain = sight.batch(rows)
    nearly, far = (twins["darker"][strength].embeddings for strength in (0.1, 0.7))
    near_by, far_by = (np.abs(twin - plain.embeddings).sum() for twin in (nearly, far))
    assert 0 < near_by < far_by
    darker = twins["darker"][0.7].statistics["brightness"]
    assert (darker < image_statistics(sight.show(rows))["brightness"]).all()


def test_sight__what_is_not_stored_is_not_at_hand(tmp_path: Path) -> None:
    sight, rows = sight_of("classification", tmp_path)
    gone = rows.assign(sha256=["0" * 64, *rows["sha256"][1:]])
    assert list(sight.at_hand(gone)["id"]) == list(rows["id"][1:])
    assert sight.at_hand(gone[:1]).empty
    assert list(sight.at_hand(gone[:0]).columns) == list(rows.columns)
    with pytest.raises(StoreError):
        StoredPixels(sight.pixels, list(gone["sha256"]))[0]
