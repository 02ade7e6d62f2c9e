"""Three models on overlapping data: for any image, exactly those that saw it, copies apart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import mlflow
import pytest
from recorded_models import RAW, blocks, draw, record

from graft.adapters.lineage.parents import SPLIT_ALONE
from graft.adapters.lineage.used import used, used_text
from graft.vision.errors import DataError
from graft.vision.records import digest_of_file

FIRST = {f"{i}.png": "train" if i < 4 else "test" for i in range(6)}
OTHER = {f"{i}.png": "train" if i < 8 else "val" for i in range(3, 10)}
"""Of another case: what the first tested on, this one learned from."""
SECOND = {f"{i}.png": "train" if i < 5 else "test" for i in range(2, 8)}
"""Trained from the first one's weights, without two of its images."""
Use = tuple[str, str, str, str]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    before, project = mlflow.get_tracking_uri(), tmp_path_factory.mktemp("used")
    mlflow.set_tracking_uri(f"sqlite:///{project}/mlflow.db")
    draw(project, 12)
    assert record(project, "a-classification", FIRST) == "1"
    assert record(project, "b-detection", OTHER) == "1"
    assert record(project, "a-classification", SECOND, parent="a-classification/1") == "2"
    yield project
    mlflow.set_tracking_uri(before)


def wanted(name: str) -> set[Use]:
    """Model, version, split and parent of each use, told from the tables above."""
    found: set[Use] = set()
    for model, version, splits in (
        ("a-classification", "1", FIRST), ("b-detection", "1", OTHER),
        ("a-classification", "2", SECOND),
    ):  # fmt: skip
        if name in splits:
            found.add((model, version, splits[name], ""))
    if name in FIRST and FIRST[name] != SECOND.get(name):
        found.add(("a-classification", "2", FIRST[name], "a-classification/1"))
    return found


def uses(rows: list[dict[str, Any]]) -> set[Use]:
    assert len(rows) == len({tuple(sorted(map(str, row.items()))) for row in rows})
    return {(row["model"], row["version"], row["split"], row["through"]) for row in rows}


@pytest.mark.parametrize("number", range(12))
def test_used__is_exactly_what_saw_an_image(project: Path, tmp_path: Path, number: int) -> None:
    name = f"{number}.png"
    file, copy = project / RAW / name, tmp_path / "copy.jpg"
    digest = digest_of_file(file)
    for asked in (str(file), digest, digest[:10], name):
        if not wanted(name) and asked in (name, digest[:10]):
            with pytest.raises(DataError, match="no image that can be looked for"):
                used(project, asked)
            continue
        found = used(project, asked)
        assert uses(found["versions"]) == wanted(name)
        assert found["sha256"] == digest and found["near"] == []
    cv2.imwrite(str(copy), blocks(number), [cv2.IMWRITE_JPEG_QUALITY, 90])
    found = used(project, str(copy))
    assert found["versions"] == []
    assert uses(found["near"]) == wanted(name)
    assert {use["id"] for use in found["near"]} <= {name}


def test_used__tells_in_words_what_came_through_a_parent(project: Path) -> None:
    text = used_text(used(project, str(project / RAW / "0.png")))
    assert "a-classification/2  train  0.png  through its parent a-classification/1" in text
    own = used_text(used(project, str(project / RAW / "3.png")))
    assert "a-classification/2  train  3.png\n" in own and "through" not in own


def test_used__follows_parents_of_parents_and_tells_of_one_that_is_not_known(
    tmp_path: Path,
) -> None:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    names = draw(tmp_path, 4)
    parents = (None, "a-classification/1", "a-classification/2", "gone-classification/7")
    for name, parent in zip(names, parents, strict=True):
        record(tmp_path, "a-classification", {name: "train"}, parent)
    # Of this one only the split came from a parent: it has not seen what that learned from.
    record(tmp_path, "a-classification", {names[1]: "train"}, "a-classification/1", SPLIT_ALONE)
    found = used(tmp_path, names[0])
    mlflow.set_tracking_uri(before)
    through = {use["version"]: use["through"] for use in found["versions"]}
    assert through == {
        "1": "",
        "2": "a-classification/1",
        "3": "a-classification/2, a-classification/1",
    }
    (note,) = found["notes"]
    assert "a-classification/4: what its parent gone-classification/7 saw is not known" in note
