"""A version's record as it was written: the copy whose digest the version's tag states."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from graft.adapters.layers import MODELS, places
from graft.adapters.lineage import DIGEST_TAG, FOLDER, RECORD, RUN_TAG
from graft.vision.errors import DataError


def read_lineage(version: Any, project: Path | None = None) -> dict[str, Any]:
    """The record of a version, from its run or, where a project is named, from its data/.

    Raises `DataError` where none was written, or where every copy has changed since.
    """
    name, stated = f"{version.name}/{version.version}", version.tags.get(DIGEST_TAG)
    if stated is None:
        raise DataError(
            f"{name} has no lineage record: every fact of it is unknown",
            found=f"no tag {DIGEST_TAG}",
            mend="register the model again with `kedro run`; the record is written then",
        )
    found = read_beside(version, RECORD, stated, project)
    if found is None:
        raise DataError(
            f"the lineage record of {name} is missing or was altered",
            found="no copy of that digest, neither on its run nor beside the models in data/",
            allowed=f"{RECORD} with SHA-256 {stated}",
            mend="bring the artifact store back, or register the model again",
        )
    record: dict[str, Any] = json.loads(found)
    return record


def read_beside(version: Any, name: str, sha256: str, project: Path | None) -> bytes | None:
    """A file of the record with this digest; None where no copy has it."""
    return next((data for data in _copies(version, name, project) if _sha256(data) == sha256), None)


def artifact_of_run(run_id: str, path: str) -> bytes | None:
    """The bytes of an artifact of a run; None where it cannot be had.

    Raises `OSError` where this disk has no room for a copy: that says nothing of the artifact.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    with TemporaryDirectory() as folder:
        try:
            place = mlflow.artifacts.download_artifacts(
                run_id=run_id, artifact_path=path, dst_path=folder
            )
            return Path(place).read_bytes()
        except (MlflowException, OSError):
            Path(folder, "room").write_bytes(b"?")  # MLflow does not tell why it gave no copy
            return None


def _copies(version: Any, name: str, project: Path | None) -> Iterator[bytes]:
    run_id, task = version.tags.get(RUN_TAG, version.run_id), version.tags.get("task", "")
    data = artifact_of_run(run_id, f"{task}/{name}") if run_id else None
    if data is not None:
        yield data
    if project is not None:
        for file in places(project, f"{MODELS}/{FOLDER}/{version.version}/{name}", task):
            yield file.read_bytes()


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
