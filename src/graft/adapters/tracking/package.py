"""What is registered of a model: its files, the code that predicts, signature, pins, digests."""

import json
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints, is_typeddict

from graft.vision.imports import SOURCE, imported_names, modules_behind

ENTRANCE = Path(__file__).with_name("serving.py")
"""The code that MLflow loads."""
MANIFEST = "sha256.json"
"""Beside the model's files: the SHA-256 of each, compared before a model is loaded."""
REQUIREMENTS = {
    "albumentations": "albumentations",
    "mlflow": "mlflow",
    "numpy": "numpy",
    "opencv-python-headless": "cv2",
    "pandas": "pandas",
    "pillow": "PIL",
    "pydantic": "pydantic",
    "pydicom": "pydicom",
    "safetensors": "safetensors",
    "segmentation-models-pytorch": "segmentation_models_pytorch",
    "simplejpeg": "simplejpeg",
    "timm": "timm",
    "torch": "torch",
    "torchvision": "torchvision",
}
"""Packages of what predictions may import, with the name by which it is imported."""
BESIDE = ("torchvision",)
"""What timm imports; it must be of the same build as torch."""


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
    from graft.vision.records import digest_of, digest_of_file, digests_below

    files, code = folder / "model", folder / "graft"
    model.save(files)
    (files / MANIFEST).write_text(json.dumps(digests_below(files), indent=2) + "\n")
    _copy_code(model.card.task, code)
    digest_by_file = digests_below(files)
    weights = digest_by_file["model.safetensors"]
    served = digest_of([digests_below(code), digest_of_file(ENTRANCE)])
    digests = {
        "weights_sha256": weights,
        "package_sha256": digest_of(digest_by_file),
        "code_sha256": served,
        "identity_sha256": digest_of([weights, model.card.identity, served]),
    }
    return Package(files, code, digests)


def signature_of(model: Any) -> Any:
    """Image bytes or paths in, the columns of an answer out; params: what it may be asked for."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema

    from graft.vision.serving import answer_images
    from graft.vision.tasks import answer_of

    answer = answer_of(model.card.task)
    columns: dict[str, Any] = answer.COLUMNS if answer else {}
    fields = answer.AnswerOptions.model_fields if answer else {}
    inputs = [ColSpec("binary", "image", required=False), ColSpec("string", "path", required=False)]
    outputs = [
        ColSpec(
            mlflow_type(columns.get(str(name), float if kind.kind == "f" else str)),
            str(name),
            required=False,
        )
        for name, kind in answer_images(model, []).dtypes.items()
    ]
    params = [ParamSpec(name, "string", field.default) for name, field in fields.items()]
    return ModelSignature(Schema(inputs), Schema(outputs), ParamSchema(params) if params else None)


def mlflow_type(kind: Any) -> Any:
    """MLflow's type for a Python one: a scalar, a list, or a dictionary whose keys are typed."""
    from mlflow.types import DataType
    from mlflow.types.schema import Array, Object, Property

    if get_origin(kind) is list:
        return Array(mlflow_type(*get_args(kind)))
    if is_typeddict(kind):
        return Object([Property(key, mlflow_type(of)) for key, of in get_type_hints(kind).items()])
    names = {bytes: "binary", float: "double", int: "long", str: "string"}
    return DataType[names[kind]]


def requirements(task: str) -> list[str]:
    """What a prediction of a task imports, in the versions that are installed."""
    files = [*served_code(task).values(), ENTRANCE]
    imported = {name.partition(".")[0] for file in files for name in imported_names(file)}
    named = {name for name, module in REQUIREMENTS.items() if module in imported}
    pinned = []
    for name in sorted(named.union(BESIDE)):
        try:
            pinned.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return pinned


def served_code(task: str) -> dict[str, Path]:
    """What a prediction of a task runs through: with it, a model needs no installed graft."""
    from graft.vision.tasks import TASKS

    row = TASKS[task]
    return modules_behind("graft.vision.serving", "graft.vision.tasks", row, f"{row}.answer")


def _copy_code(task: str, target: Path) -> None:
    for file in served_code(task).values():
        copy = target.parent / file.relative_to(SOURCE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
