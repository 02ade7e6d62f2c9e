"""Every format comes back as it went in; a failed save keeps the old value."""

from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DatasetError

from graft.adapters.datasets import ArtifactDataset, RawFolderDataset
from graft.vision.errors import DataError, OptionsError

TABLE = pd.DataFrame({"file": ["a.png", "ü,b.png"], "reason": ["cut short", 'says "no"']})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a.json", {"accuracy": {"value": 0.5, "low": None}}),
        ("a.html", "<p>ü</p>"),
        ("a.png", b"\x89PNG"),
    ],
)
def test_artifact__comes_back_as_it_went_in(tmp_path: Path, name: str, value: object) -> None:
    dataset = ArtifactDataset(str(tmp_path / "deep" / name))
    dataset.save(value)
    assert dataset.load() == value


@pytest.mark.parametrize("name", ["a.parquet", "a.csv"])
def test_artifact__tables_come_back_as_they_went_in(tmp_path: Path, name: str) -> None:
    dataset = ArtifactDataset(str(tmp_path / name))
    dataset.save(TABLE)
    pd.testing.assert_frame_equal(dataset.load().astype(object), TABLE.astype(object))


def test_artifact__keeps_the_old_value_when_a_save_fails(tmp_path: Path) -> None:
    dataset = ArtifactDataset(str(tmp_path / "a.json"))
    dataset.save({"old": 1})
    with pytest.raises(DatasetError):
        dataset.save({"new": float("nan")})
    assert dataset.load() == {"old": 1}
    assert len(list(tmp_path.iterdir())) == 1


def test_artifact__refuses_a_format_it_does_not_know(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="allowed endings"):
        ArtifactDataset(str(tmp_path / "a.pkl"))


def test_raw_folder__says_how_to_bring_data_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises((DataError, DatasetError), match="kedro case create ants --data PATH"):
        RawFolderDataset(str(tmp_path / "ants")).load()


def test_artifact__that_is_not_there_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises((DataError, DatasetError), match="is not there; next: run the pipelines"):
        ArtifactDataset(str(tmp_path / "a.json")).load()


@pytest.mark.parametrize("place", [6, 30, -2])
def test_artifact__names_a_table_with_a_flipped_byte(tmp_path: Path, place: int) -> None:
    path = tmp_path / "a.parquet"
    dataset = ArtifactDataset(str(path))
    dataset.save(TABLE)
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(data)
    with pytest.raises((DataError, DatasetError), match=r"a\.parquet is damaged; found: "):
        dataset.load()
    dataset.save(TABLE)
    pd.testing.assert_frame_equal(dataset.load().astype(object), TABLE.astype(object))


def test_artifact__names_a_record_that_was_cut_short(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('{"accuracy": ')
    with pytest.raises((DataError, DatasetError), match=r"a\.json is damaged; .*run the whole"):
        ArtifactDataset(str(tmp_path / "a.json")).load()


def test_raw_folder__refuses_a_path_that_is_no_text() -> None:
    with pytest.raises((OptionsError, DatasetError), match=r"globals\.yml: raw; found: None"):
        RawFolderDataset(None)  # type: ignore[arg-type]
