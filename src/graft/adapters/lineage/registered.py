"""The registered bytes of a version: where they lie, their manifest, and what differs from it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit

from graft.vision.errors import WeightsError
from graft.vision.records import digest_of, digests_below

BESIDE = ("registered_model_meta",)
"""MLflow's note of where a copy came from."""
MODEL = Path("artifacts/model")


def model_id_of(version: Any) -> str | None:
    """The logged model behind a version; MLflow's search leaves it out, its source names it."""
    found = re.fullmatch(r"models:/(m-[0-9a-f]+)", version.source or "")
    return getattr(version, "model_id", None) or (found[1] if found else None)


@contextmanager
def registered_files(version: Any) -> Iterator[Path]:
    """The folder of a version's registered files: where they lie, or a copy from a server.

    Raises `WeightsError` where they cannot be had.
    """
    with TemporaryDirectory() as scratch:
        yield _fetched(version, scratch)


def _fetched(version: Any, scratch: str) -> Path:
    import mlflow
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient()
    try:
        place = client.get_model_version_download_uri(version.name, version.version)
        if (model_id := model_id_of(version)) is not None:
            place = client.get_logged_model(model_id).artifact_location
        parts = urlsplit(place)
        if parts.scheme in ("", "file") and Path(unquote(parts.path)).is_dir():
            return Path(unquote(parts.path))
        return Path(mlflow.artifacts.download_artifacts(place, dst_path=scratch))
    except (MlflowException, OSError) as error:
        raise WeightsError(
            f"the registered files of {version.name}/{version.version} cannot be had",
            found=str(error).partition("\n")[0][:200],
            mend="bring the artifact store back, or roll back to another version",
        ) from error


def manifest_of(folder: Path) -> dict[str, str]:
    """SHA-256 of every registered file, by its path; without what MLflow notes beside."""
    return {name: sha for name, sha in digests_below(folder).items() if name not in BESIDE}


def differences(expected: Mapping[str, str], found: Mapping[str, str]) -> list[dict[str, str]]:
    """Each file that is not what was registered: file, expected, found."""
    return [
        {
            "file": name,
            "expected": expected.get(name, "no such file"),
            "found": found.get(name, "missing"),
        }
        for name in sorted({*expected, *found})
        if expected.get(name) != found.get(name)
    ]


def registered_facts(folder: Path) -> dict[str, Any]:
    """The manifest of a folder of registered files, as a record holds it."""
    files = manifest_of(folder)
    return {"files": files, "sha256": digest_of(files)}
