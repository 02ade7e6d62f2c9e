"""A model's folder is loaded only if it holds what was saved."""

from pathlib import Path
from typing import Any

import pytest
from kedro.io import DatasetError

from graft.adapters.datasets import TrainedModelDataset
from graft.vision.errors import GraftError


class FakeModel:
    """Saves two files, as a trained model does."""

    def save(self, folder: Path) -> None:
        (folder / "model.safetensors").write_bytes(bytes(range(200)))
        (folder / "card.json").write_text('{"task": "any"}')


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TrainedModelDataset:
    def load_trained(folder: Path) -> Any:
        return sorted(path.name for path in folder.iterdir())

    monkeypatch.setattr("graft.vision.tasks.load_trained", load_trained)
    dataset = TrainedModelDataset(str(tmp_path / "probe"))
    dataset.save(FakeModel())
    return dataset


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_trained_model__is_loaded_where_nothing_has_changed(dataset: TrainedModelDataset) -> None:
    assert dataset.exists()
    assert dataset.load() == ["card.json", "model.safetensors", "sha256.json"]


@pytest.mark.parametrize("name", ["model.safetensors", "card.json"])
@pytest.mark.parametrize("damage", [flip, Path.unlink])
def test_trained_model__names_the_file_that_is_not_what_was_saved(
    dataset: TrainedModelDataset, name: str, damage: Any
) -> None:
    damage(dataset.folder / name)
    with pytest.raises((GraftError, DatasetError), match=f"{name} changed, missing or added"):
        dataset.load()
    dataset.save(FakeModel())
    assert len(dataset.load()) == 3


def test_trained_model__refuses_a_file_that_was_added_or_a_lost_list_of_digests(
    dataset: TrainedModelDataset,
) -> None:
    (dataset.folder / "more.py").write_text("print()")
    with pytest.raises((GraftError, DatasetError), match=r"more\.py changed"):
        dataset.load()
    (dataset.folder / "more.py").unlink()
    (dataset.folder / "sha256.json").write_text("{")
    with pytest.raises((GraftError, DatasetError), match=r"card\.json, model\.safetensors changed"):
        dataset.load()


def test_trained_model__is_loaded_where_a_crash_cut_its_replacing_in_two(
    dataset: TrainedModelDataset,
) -> None:
    dataset.folder.rename(dataset.folder.with_name(".probe.old"))
    assert dataset.load() == ["card.json", "model.safetensors", "sha256.json"]


def test_trained_model__that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises((GraftError, DatasetError), match="is not there; next: run the pipelines"):
        TrainedModelDataset(str(tmp_path / "probe")).load()
