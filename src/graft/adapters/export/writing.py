"""Writes an export: all of it or nothing, and its root digest where the registry keeps it."""

from pathlib import Path
from typing import Any

from graft.adapters.atomic import atomic_folder
from graft.adapters.export import ENVELOPE, MANIFEST, ROOT_TAG, STATEMENT
from graft.adapters.export.documents import documents_of, statement_text, text_of
from graft.adapters.export.envelope import signed
from graft.adapters.export.gathering import Asked, gather
from graft.adapters.export.manifest import manifest_of_export
from graft.adapters.export.reading import Exported
from graft.adapters.export.scores import Measured
from graft.vision.errors import DataError


def export_version(asked: Asked, folder: Path, key: Path | None = None) -> dict[str, Any]:
    """Write one folder that shows what a version is; returns its path, root digest and size.

    Args:
        key: an Ed25519 key in PEM that signs the statement.

    Raises:
        DataError: where the version has no record, or the folder holds something else.
    """
    _check_free(folder)
    with atomic_folder(folder) as part:
        gather(asked, part)
        exported = Exported(part)
        for name, text in documents_of(exported, Measured(exported)).items():
            (part / name).write_text(text)
        (part / STATEMENT).write_text(statement_text(exported))
        if key is not None:
            envelope = signed((part / STATEMENT).read_bytes(), key)
            (part / ENVELOPE).write_text(text_of(envelope))
        manifest = manifest_of_export(part)
        (part / MANIFEST).write_text(text_of(manifest))
    _tag(asked.version, manifest["root_sha256"])
    return {
        "folder": str(folder),
        "root_sha256": manifest["root_sha256"],
        "files": len(manifest["files"]),
        "signed": key is not None,
    }


def _check_free(folder: Path) -> None:
    """An export may be written anew; what is none is not written over."""
    if folder.exists() and not (folder / MANIFEST).is_file() and any(folder.iterdir()):
        raise DataError(
            f"{folder} is not empty and holds no export",
            allowed="a new or empty folder, or one with an earlier export",
            mend="name another with --out",
        )


def _tag(version: Any, root: str) -> None:
    import mlflow

    mlflow.MlflowClient().set_model_version_tag(version.name, version.version, ROOT_TAG, root)
