"""What a run has left: had where it is, none where it is not, and told where it cannot be read."""

import json
import resource
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pandas as pd
import pytest

from graft.adapters.layers import REGISTERED, place
from graft.adapters.promotion.case import Case
from graft.adapters.promotion.copies import UnreadableCopyError, copies
from graft.adapters.promotion.evidence import split_of
from graft.vision.records import data_digest

TASK, NAME, SPLIT = "classification", "model_card.json", "split_manifest.parquet"


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Case]:
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.create_experiment("tiny", (tmp_path / "mlruns").as_uri())
    mlflow.set_experiment("tiny")
    yield Case(tmp_path, "tiny", f"tiny-{TASK}", TASK, None, tmp_path / "raw", "tiny")
    mlflow.set_tracking_uri(before)


@pytest.fixture
def version(case: Case) -> Any:
    """Of a run that has left a card, and whose registration is the last one of the case."""
    with mlflow.start_run() as run:
        mlflow.log_text("of the run", f"{TASK}/{NAME}")
    record = place(case.project, REGISTERED, case.name, TASK)
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"identity_sha256": "one"}))
    tags = {"identity_sha256": "one"}
    return SimpleNamespace(name=case.model, version="1", run_id=run.info.run_id, tags=tags)


def of_the_case(case: Case, name: str = NAME) -> Path:
    file = case.project / f"data/03_primary/{case.name}/{TASK}/{name}"
    file.parent.mkdir(parents=True)
    return file


def put_a_folder(case: Case, version: Any) -> str:
    """In the place of the run's file: no user, not even root, reads that."""
    (file,) = (case.project / "mlruns").rglob(NAME)
    file.unlink()
    file.mkdir()
    (file / "inside").write_text("?")
    return f"{TASK}/{NAME} of run {version.run_id}"


def test_copies__are_of_the_run_and_then_of_the_case(case: Case, version: Any) -> None:
    of_the_case(case).write_text("of the case")
    assert [*copies(case, version, NAME)] == [b"of the run", b"of the case"]
    version.tags["identity_sha256"] = "another"
    assert [*copies(case, version, NAME)] == [b"of the run"]
    assert not [*copies(case, version, "leaks.csv")]
    version.run_id = "gone"
    assert not [*copies(case, version, NAME)]


def test_copies__that_cannot_be_read_are_named(case: Case, version: Any) -> None:
    named = put_a_folder(case, version)
    with pytest.raises(UnreadableCopyError, match=f"{NAME} is there and .*{named}"):
        next(copies(case, version, NAME))
    of_the_case(case).mkdir()
    with pytest.raises(UnreadableCopyError, match=rf"03_primary/tiny/{TASK}/{NAME}: \[Errno 21\]"):
        next(copies(case, version, NAME))


def test_copies__for_which_there_is_no_room_are_named(case: Case, version: Any) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(UnreadableCopyError, match=f"{TASK}/{NAME} of run .*File too large"):
            next(copies(case, version, NAME))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_copies__of_the_case_serve_where_those_of_the_run_cannot_be_read(
    case: Case, version: Any
) -> None:
    put_a_folder(case, version)
    of_the_case(case).write_text("of the case")
    assert next(copies(case, version, NAME)) == b"of the case"


def test_split__that_cannot_be_read_is_not_called_gone(case: Case, version: Any) -> None:
    rows = pd.DataFrame([{"id": "a", "sha256": "0", "truth": "{}", "split": "train"}])
    version.tags["data_sha256"] = data_digest(rows)
    assert split_of(case, version) is None
    file = of_the_case(case, SPLIT)
    file.mkdir()
    with pytest.raises(UnreadableCopyError, match=SPLIT):
        split_of(case, version)
    file.rmdir()
    rows.to_parquet(file)
    assert split_of(case, version) is not None
