"""The copies of a file that a version's run has left: with the run, or in the case's folders."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from graft.adapters.layers import last_registered
from graft.adapters.lineage.reading import artifact_of_run
from graft.adapters.promotion.case import Case
from graft.vision.errors import GraftError


class UnreadableCopyError(GraftError):
    """A copy is there and the disk does not give it, which says nothing of the model."""


def copies(case: Case, version: Any, name: str) -> Iterator[bytes]:
    """The bytes of each copy.

    Raises `UnreadableCopyError` after the last where one could not be read: it may be the right
    one, so that it cannot be said that there is none.
    """
    unread = []
    for place, read in _places(case, version, name):
        try:
            data = read()
        except OSError as error:
            unread.append(f"{place}: {error}")
            continue
        if data is not None:
            yield data
    if unread:
        raise UnreadableCopyError(
            f"{name} is there and cannot be read",
            found="; ".join(unread),
            mend="see whether the disk fails or is full, and who may read the file; then run again",
        )


def _places(
    case: Case, version: Any, name: str
) -> Iterator[tuple[str, Callable[[], bytes | None]]]:
    """Where a copy may lie, and what reads it, None where none does.

    The case's are of this version only while its registration is the last one there.
    """
    task = case.task_name
    yield f"{task}/{name} of run {version.run_id}", partial(_of_run, version.run_id, task, name)
    standing = last_registered(case.project, case.name, task)
    if standing.get("identity_sha256") == version.tags.get("identity_sha256"):
        for file in sorted((case.project / "data").glob(f"0[37]_*/{case.name}/{task}/{name}")):
            yield str(file), file.read_bytes


def _of_run(run_id: str, task: str, name: str) -> bytes | None:
    data = artifact_of_run(run_id, f"{task}/{name}")
    if data is None and _is_listed(run_id, task, name):
        raise OSError("MLflow lists it, and does not give it")
    return data


def _is_listed(run_id: str, task: str, name: str) -> bool:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        listed = MlflowClient().list_artifacts(run_id, task)
    except MlflowException:  # the run is gone
        return False
    return f"{task}/{name}" in [file.path for file in listed]
