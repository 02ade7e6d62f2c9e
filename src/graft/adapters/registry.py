"""Registered models by name: which version is meant, and whether its bytes are what it says."""

import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from graft.vision.errors import GraftError

NAME = re.compile(r"(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<version>\d+))?")
CHAMPION, CHALLENGER = "champion", "challenger"
FILES, CODE, ENTRANCE = "artifacts/model", "code/graft", "serving.py"
_MLMODEL_BYTES_MAX = 1 << 20
BESIDE = {"MLmodel", "conda.yaml", "python_env.yaml", "requirements.txt", "registered_model_meta"}
"""What MLflow itself writes beside what is digested."""
LOADED_BY = {
    "loader_module": "mlflow.pyfunc.loaders.code_model",
    "model_code_path": ENTRANCE,
    "code": "code",
}
"""What of MLmodel decides which code is run."""


class RegistryError(GraftError):
    """A name that the registry does not know."""


class AlteredModelError(GraftError):
    """Registered bytes are not there, or are not those that were registered."""


def resolve(text: str, bare: str = CHAMPION) -> Any:
    """The MLflow model version that ``NAME``, ``NAME@alias`` or ``NAME/version`` means.

    ``bare``: the alias that a name alone stands for. Raises `RegistryError`.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    found = NAME.fullmatch(text)
    if found is None:
        raise RegistryError(f"{text!r} names no model", allowed="NAME, NAME@alias or NAME/version")
    name, alias, version = found["name"], found["alias"], found["version"]
    client = MlflowClient()
    try:
        if version is not None:
            return client.get_model_version(name, version)
        return client.get_model_version_by_alias(name, alias or bare)
    except MlflowException as error:
        if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            raise
        what = f"version {version}" if version else f"alias {alias or bare}"
        raise RegistryError(
            f"model {name!r} has no {what}", allowed=_known(client, name), mend="name one of these"
        ) from error


def version_at(name: str, alias: str) -> str | None:
    """The version that an alias points at in MLflow; None where it points at nothing."""
    try:
        return str(resolve(f"{name}@{alias}").version)
    except RegistryError:
        return None


@contextmanager
def verified(version: Any) -> Iterator[Path]:
    """A private copy of a version's folder, whose bytes are those of the digests in its tags.

    Nothing of it is loaded here: weights that were altered are refused before any tensor is built.

    Raises:
        AlteredModelError: naming what differs, with the digest that is expected and the actual.
    """
    with tempfile.TemporaryDirectory(prefix="graft-model-") as folder:
        model = _fetch(version, Path(folder))
        _check_files(version, model)
        _check_digests(version, model)
        yield model


def digests_in(model: Path) -> dict[str, str]:
    """``weights_sha256``, ``package_sha256``, ``code_sha256`` of a fetched folder, as registered;
    ``folder_sha256`` of all its files but MLflow's note of where it came from."""
    from graft.vision.records import digest_of, digest_of_file, digests_below

    files, code = digests_below(model / FILES), digests_below(model / CODE)
    whole = {k: v for k, v in digests_below(model).items() if k != "registered_model_meta"}
    return {
        "weights_sha256": files.get("model.safetensors", "missing"),
        "package_sha256": digest_of(files),
        "code_sha256": digest_of([code, digest_of_file(model / ENTRANCE)]),
        "folder_sha256": digest_of(whole),
    }


def _fetch(version: Any, folder: Path) -> Path:
    """MLflow serves local folders in place: a copy cannot change between check and load."""
    from mlflow.artifacts import download_artifacts
    from mlflow.exceptions import MlflowException

    uri = f"models:/{version.name}/{version.version}"
    try:
        found = Path(download_artifacts(artifact_uri=uri, dst_path=str(folder)))
    except (MlflowException, OSError) as error:
        raise AlteredModelError(
            f"the registered files of {version.name}/{version.version} cannot be read",
            found=str(error),
            mend="register the model again from its run",
        ) from error
    for cache in [*found.rglob("__pycache__")]:  # left by servers; code in it is nobody's
        shutil.rmtree(cache)
    return found


def _check_files(version: Any, model: Path) -> None:
    there = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    added = {
        name
        for name in there - BESIDE - {ENTRANCE}
        if not name.startswith((f"{FILES}/", f"{CODE}/"))
    }
    missing = {ENTRANCE, "MLmodel", f"{FILES}/card.json", f"{FILES}/model.safetensors"} - there
    if added or missing:
        odd = [f"{n} added" for n in sorted(added)] + [f"{n} missing" for n in sorted(missing)]
        raise _altered(version, ", ".join(odd), "the files that were registered")
    loads = _loading(version, model / "MLmodel")
    odd = [f"MLmodel loads by {k} {loads.get(k)}" for k in LOADED_BY if not _is_ours(k, loads)]
    if odd:
        raise _altered(version, ", ".join(odd), str(LOADED_BY))


def _loading(version: Any, file: Path) -> dict[str, Any]:
    """How MLflow would load the folder. Raises `AlteredModelError` where it is not plainly said."""
    try:
        text = file.read_bytes()[:_MLMODEL_BYTES_MAX].decode()
        if "<<" in text:  # merge keys, which nested expand without end
            raise ValueError("merge keys")
        return dict(yaml.safe_load(text)["flavors"]["python_function"])
    except (yaml.YAMLError, ValueError, TypeError, KeyError, RecursionError) as error:
        found = f"MLmodel that cannot be read ({type(error).__name__})"
        raise _altered(version, found, "what MLflow wrote") from error


def _is_ours(key: str, loads: dict[str, Any]) -> bool:
    return Path(str(loads.get(key))).name == LOADED_BY[key]


def _check_digests(version: Any, model: Path) -> None:
    actual = digests_in(model)
    for name in ("weights_sha256", "package_sha256", "code_sha256"):
        expected = version.tags.get(name, "unknown")
        if actual[name] != expected:
            raise _altered(version, f"{name} {actual[name]}", f"{name} {expected}")


def _altered(version: Any, found: str, expected: str) -> AlteredModelError:
    return AlteredModelError(
        f"{version.name}/{version.version} is not what was registered; nothing of it was loaded",
        found=found,
        allowed=expected,
        mend="register the model again from its run",
    )


def _known(client: Any, name: str) -> str:
    """What there is, for an error."""
    models = sorted(model.name for model in client.search_registered_models())
    if name not in models:
        return f"models {', '.join(models) or 'none'}"
    versions = client.search_model_versions(f"name = '{name}'")
    numbers = sorted((int(version.version) for version in versions), reverse=True)
    aliases = sorted(client.get_registered_model(name).aliases)
    return f"versions {', '.join(map(str, numbers))}; aliases {', '.join(aliases) or 'none'}"
