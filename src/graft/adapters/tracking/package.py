"""What is registered of a model: its files, the code that predicts, signature, pins, digests."""

import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from graft.adapters.tracking.imports import SOURCE, modules_behind

ENTRANCE = Path(__file__).with_name("serving.py")
"""The code that MLflow loads."""
REQUIREMENTS = (
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pydantic",
    "pydicom",
    "safetensors",
    "timm",
    "torch",
    "torchvision",
)


@dataclass(frozen=True)
class Package:
    """Folders of the model's files and of the code that predicts, with what is known of both."""

    files: Path
    code: Path
    digests: dict[str, str]
    """``weights_sha256``; ``package_sha256``: of all files; ``code_sha256``; ``identity_sha256``:
    of weights, card and code, whatever minutes the model took."""


def pack(model: Any, folder: Path) -> Package:
    """Write a `TrainedModel` and the code that it predicts with below ``folder``."""
    from graft.vision.records import digest_of, digest_of_file

    files, code = folder / "model", folder / "graft"
    model.save(files)
    _copy_code(model.card.task, code)
    digest_by_file = _digests(files)
    weights = digest_by_file["model.safetensors"]
    served = digest_of([_digests(code), digest_of_file(ENTRANCE)])
    digests = {
        "weights_sha256": weights,
        "package_sha256": digest_of(digest_by_file),
        "code_sha256": served,
        "identity_sha256": digest_of([weights, model.card.identity, served]),
    }
    return Package(files, code, digests)


def signature_of(model: Any) -> Any:
    """Image bytes or paths in; the columns of a prediction out."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    from graft.vision.serving import predict_images

    columns = predict_images(model, []).dtypes
    inputs = [ColSpec("binary", "image", required=False), ColSpec("string", "path", required=False)]
    outputs = [
        ColSpec("double" if kind.kind == "f" else "string", str(name), required=False)
        for name, kind in columns.items()
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def requirements() -> list[str]:
    """What a prediction imports, in the versions that are installed."""
    pinned = []
    for name in REQUIREMENTS:
        try:
            pinned.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return pinned


def served_code(task: str) -> dict[str, Path]:
    """What a prediction of a task runs through: with it, a model needs no installed graft."""
    from graft.vision.tasks import TASKS

    return modules_behind("graft.vision.serving", "graft.vision.tasks", TASKS[task])


def _copy_code(task: str, target: Path) -> None:
    for file in served_code(task).values():
        copy = target.parent / file.relative_to(SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)


def _digests(folder: Path) -> dict[str, str]:
    from graft.vision.records import digest_of_file

    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): digest_of_file(path) for path in paths}
