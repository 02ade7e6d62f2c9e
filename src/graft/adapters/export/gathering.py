"""Brings together what an export holds: the record, what it names, and the registered bytes."""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from graft.adapters.export import (
    DECLARED,
    DIFF,
    LEDGER,
    LINEAGE,
    LOCK,
    REGISTERED,
    SCHEMAS,
    VERSION,
)
from graft.adapters.export.declared import DeclaredOptions
from graft.adapters.export.documents import text_of
from graft.adapters.export.reading import WEIGHTS, writer
from graft.adapters.export.schemas import schema_files
from graft.adapters.ledger import Ledger
from graft.adapters.ledger.ledger import now
from graft.adapters.lineage import DIGEST_TAG, FILES, IMAGES, RECORD, UNKNOWN
from graft.adapters.lineage.reading import artifact_of_run, read_beside, read_lineage
from graft.adapters.lineage.registered import BESIDE
from graft.adapters.registry import verified

OUTPUTS = (
    "class_table", "split_manifest", "quality_report", "quarantine", "leaks", "backbone_card",
    "augmentation_policy", "harmony", "probe_report", "fine_tuned_history", "scratch_history",
    "calibrations", "verdict", "test_predictions", "test_metrics",
)  # fmt: skip
"""Outputs of stages that lie in an export, where their recorded bytes can still be had."""
OWN_TAGS = "export."
"""Tags of earlier exports, which say nothing of the version."""


@dataclass(frozen=True)
class Asked:
    """A version that is to be exported."""

    project: Path
    version: Any
    """MLflow's model version."""
    ledger: Ledger
    declared: DeclaredOptions
    weights: bool = True
    """Whether the registered weights go into the folder, or their digest alone."""


def gather(asked: Asked, folder: Path) -> None:
    """Write all that documents are made of.

    Raises:
        DataError: where there is no record.
        AlteredModelError: where the registered files hold other bytes than were registered.
    """
    record = read_lineage(asked.version, asked.project)
    lineage = folder / LINEAGE
    lineage.mkdir(parents=True)
    absent = []
    for name, data in _records(asked, record):
        if data is None:
            absent.append(name)
        else:
            (lineage / name).write_bytes(data)
    if asked.ledger.entries:
        shutil.copyfile(asked.ledger.path, lineage / LEDGER)
    left_out = _copy_registered(asked, folder / REGISTERED)
    _write_schemas(folder / SCHEMAS)
    (lineage / DECLARED).write_text(text_of(asked.declared.model_dump()))
    (lineage / VERSION).write_text(text_of(_registry_facts(asked, left_out, absent)))


def _records(asked: Asked, record: dict[str, Any]) -> Iterator[tuple[str, bytes | None]]:
    """Each file of the record with its bytes as recorded; None where no copy has them any more."""
    version, project = asked.version, asked.project
    yield RECORD, read_beside(version, RECORD, version.tags[DIGEST_TAG], project)
    tables = {IMAGES: record["images"], FILES: record["annotations"]["files"]}
    for name, said in tables.items():
        if said != UNKNOWN:
            yield name, read_beside(version, name, said["table_sha256"], project)
    run_id = record["model"]["recorded_by_run"]
    for name, digest in {
        LOCK: record["lock"]["sha256"],
        DIFF: record["code"]["diff_sha256"],
    }.items():
        if digest not in (UNKNOWN, "none"):
            yield name, _with_digest([artifact_of_run(run_id, f"code/{name}")], digest)
    outputs = {name: out for stage in record["stages"] for name, out in stage["outputs"].items()}
    for name in OUTPUTS:
        if name in outputs:
            file = Path(outputs[name]["path"])
            yield file.name, _output(asked, record["model"], outputs[name], file)


def _output(
    asked: Asked, model: dict[str, Any], output: dict[str, Any], file: Path
) -> bytes | None:
    """Of the run that made it, of the run that registered, or of the case's folder."""
    runs = [run for run in (output["run_id"], model["recorded_by_run"]) if run != UNKNOWN]
    place = asked.project / file
    found = [artifact_of_run(run, f"{model['task']}/{file.name}") for run in dict.fromkeys(runs)]
    return _with_digest([*found, place.read_bytes() if place.is_file() else None], output["sha256"])


def _with_digest(copies: list[bytes | None], sha256: str) -> bytes | None:
    known = (data for data in copies if data is not None)
    return next((data for data in known if hashlib.sha256(data).hexdigest() == sha256), None)


def _copy_registered(asked: Asked, target: Path) -> list[str]:
    """Returns what was left out. Raises `AlteredModelError` for other bytes than registered."""
    left_out = [] if asked.weights else [WEIGHTS]
    with verified(asked.version) as source:
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            name = path.relative_to(source).as_posix()
            if name not in BESIDE and name not in left_out:
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.move(path, target / name)  # out of a copy that is ours
    return left_out


def _write_schemas(folder: Path) -> None:
    folder.mkdir()
    for name, text in schema_files().items():
        (folder / name).write_text(text)


def _registry_facts(asked: Asked, left_out: list[str], absent: list[str]) -> dict[str, Any]:
    import mlflow

    version, client = asked.version, mlflow.MlflowClient()
    model = client.get_registered_model(version.name)
    tags = {k: v for k, v in sorted(version.tags.items()) if not k.startswith(OWN_TAGS)}
    return {
        "model": version.name,
        "version": str(version.version),
        "registered": _time(version.creation_timestamp),
        "tags": tags,
        "model_tags": dict(sorted(model.tags.items())),
        "aliases": {name: str(number) for name, number in sorted(model.aliases.items())},
        "run": _run_facts(client, version.run_id),
        "exported": {"at": now(), "by": installed("graft"), "code_sha256": writer()},
        "left_out": left_out,
        "absent": absent,
    }


def _run_facts(client: Any, run_id: str) -> dict[str, str]:
    from mlflow.exceptions import MlflowException

    try:
        info = client.get_run(run_id).info
    except MlflowException:  # deleted since
        return {"id": run_id or UNKNOWN, "started": UNKNOWN, "ended": UNKNOWN}
    return {"id": run_id, "started": _time(info.start_time), "ended": _time(info.end_time)}


def _time(milliseconds: int | None) -> str:
    """UTC; unknown for a run that was still open."""
    if milliseconds is None:
        return UNKNOWN
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")
