"""What a stage leaves: its digest, and the digest of what an equal run would leave again."""

import hashlib
import json
from pathlib import Path

import pytest

from graft.adapters.lineage.hashing import facts_of_file
from graft.adapters.lineage.outputs import content_of_output, digest_of_output
from graft.adapters.lineage.registered import differences, manifest_of
from graft.vision.records import digests_below


def write_model(folder: Path, weights: bytes, **card: object) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "card.json").write_text(json.dumps(card))
    return folder


def test_content__of_a_model_is_not_moved_by_its_minutes(tmp_path: Path) -> None:
    one = write_model(tmp_path / "one", b"weights", seed=0, minutes=1.0, facts={"epochs": 3})
    two = write_model(tmp_path / "two", b"weights", seed=0, minutes=9.0, facts={"epochs": 3})
    assert content_of_output(one) == content_of_output(two)
    assert digest_of_output(one) != digest_of_output(two)
    for name, weights, seed in (("byte", b"Weights", 0), ("seed", b"weights", 1)):
        other = write_model(tmp_path / name, weights, seed=seed, minutes=1.0, facts={})
        assert content_of_output(other) != content_of_output(one)


@pytest.mark.parametrize(
    ("name", "one", "same", "other"),
    [
        ("a.csv", "ep,loss,seconds\n0,1,5\n", "ep,loss,seconds\n0,1,7\n", "ep,loss\n0,2\n"),
        ("a.json", '{"a": 1, "b": [{"minutes": 2}]}', '{"b": [{}], "a": 1}', '{"a": 2, "b": [{}]}'),
    ],
)
def test_content__of_a_record_is_not_moved_by_its_times(
    tmp_path: Path, name: str, one: str, same: str, other: str
) -> None:
    found = []
    for number, text in enumerate((one, same, other)):
        file = tmp_path / str(number) / name
        file.parent.mkdir()
        file.write_text(text)
        found.append(content_of_output(file))
    assert found[0] == found[1] != found[2]


def test_content__of_what_is_not_there_is_none(tmp_path: Path) -> None:
    assert content_of_output(tmp_path / "no.json") is None
    assert digest_of_output(tmp_path / "no.json") is None


def test_facts__are_of_every_byte(tmp_path: Path) -> None:
    data = bytes(range(256)) * 8200  # more than a piece, and no multiple of it
    (tmp_path / "file").write_bytes(data)
    facts = facts_of_file(tmp_path / "file")
    assert facts is not None and facts.bytes == len(data)
    assert facts.sha256 == hashlib.sha256(data).hexdigest()
    assert facts_of_file(tmp_path / "absent") is None


def test_differences__name_what_changed_went_and_came(tmp_path: Path) -> None:
    for name in ("kept", "changed", "gone"):
        (tmp_path / name).write_text(name)
    before = manifest_of(tmp_path)
    assert before == digests_below(tmp_path)
    (tmp_path / "changed").write_text("Changed")
    (tmp_path / "gone").unlink()
    (tmp_path / "came").write_text("came")
    wrong = {each["file"]: each for each in differences(before, manifest_of(tmp_path))}
    assert set(wrong) == {"changed", "gone", "came"}
    assert wrong["gone"]["found"] == "missing" and wrong["came"]["expected"] == "no such file"
