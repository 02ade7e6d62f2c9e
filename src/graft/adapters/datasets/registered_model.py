"""The chosen model in the MLflow registry, as a challenger."""

import json
import shutil
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from graft.adapters.atomic import atomic_file

ALIAS = "challenger"
REQUIREMENTS = (
    "mlflow",
    "numpy",
    "opencv-python-headless",
    "pandas",
    "pillow",
    "pydantic",
    "safetensors",
    "timm",
    "torch",
    "torchvision",
)


class RegisteredModelDataset(AbstractDataset[Any, dict[str, Any]]):
    """Saves a `TrainedModel` as a pyfunc from code, registers it, and points ``challenger`` at it.

    A model whose weights and card are those of the standing challenger is not registered again,
    whatever minutes it took.

    Args:
        name: of the registered model.
        filepath: JSON that says which version stands; what ``load`` returns.
    """

    def __init__(self, name: str, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self.name = name
        self.path = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """What was registered last: name, version, alias, digests."""
        return dict(json.loads(self.path.read_text()))

    def save(self, data: Any) -> None:
        """Register the model. Raises `DatasetError` when no MLflow run is open."""
        import mlflow

        if mlflow.active_run() is None:
            raise DatasetError("no MLflow run is open; next: keep TrackingHook in settings.HOOKS")
        with tempfile.TemporaryDirectory() as folder:
            data.save(Path(folder) / "model")
            digests = _digests(data, Path(folder) / "model")
            standing = _standing_version(self.name, digests["identity_sha256"])
            number = standing or self._register(data, Path(folder), digests)
        mlflow.set_tag(f"registered.{self.name}", number)
        record = {"name": self.name, "version": number, "alias": ALIAS, **digests}
        with atomic_file(self.path) as part:
            part.write_text(json.dumps(record, indent=2) + "\n")

    def _register(self, model: Any, folder: Path, digests: dict[str, str]) -> str:
        import mlflow

        with warnings.catch_warnings():
            # MLflow asks for type hints and an example; the signature says more than both.
            warnings.simplefilter("ignore", UserWarning)
            info = mlflow.pyfunc.log_model(
                name=self.name,
                python_model=str(Path(__file__).parents[1] / "tracking" / "serving.py"),
                artifacts={"model": str(folder / "model")},
                code_paths=[str(_code_copy(folder))],
                signature=_signature(model),
                pip_requirements=_requirements(),
            )
        client = mlflow.MlflowClient()
        created = mlflow.register_model(info.model_uri, self.name, tags={**_tags(model), **digests})
        client.set_registered_model_alias(self.name, ALIAS, created.version)
        return str(created.version)

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"name": self.name, "filepath": str(self.path)}


def _standing_version(name: str, identity: str) -> str | None:
    """The version that the challenger alias points at, when it is this very model."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        standing = mlflow.MlflowClient().get_model_version_by_alias(name, ALIAS)
    except MlflowException:
        return None
    same = standing.tags.get("identity_sha256") == identity
    return str(standing.version) if same else None


def _signature(model: Any) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema

    from graft.vision.serving import predict_images

    columns = predict_images(model, []).dtypes
    inputs = [ColSpec("binary", "image", required=False), ColSpec("string", "path", required=False)]
    outputs = [
        ColSpec("double" if kind.kind == "f" else "string", name, required=False)
        for name, kind in columns.items()
    ]
    return ModelSignature(inputs=Schema(inputs), outputs=Schema(outputs))


def _code_copy(folder: Path) -> Path:
    """The pure part of graft, so that the model runs where graft is not installed."""
    source = Path(__file__).parents[2]
    target = folder / "graft"
    target.mkdir()
    shutil.copy(source / "__init__.py", target)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(source / "vision", target / "vision", ignore=ignored)
    return target


def _digests(model: Any, folder: Path) -> dict[str, str]:
    from graft.vision.records import digest_of, digest_of_file

    files = {path.name: digest_of_file(path) for path in sorted(folder.iterdir())}
    weights = files["model.safetensors"]
    return {
        "weights_sha256": weights,
        "package_sha256": digest_of(files),
        "identity_sha256": digest_of([weights, model.card.identity]),
    }


def _tags(model: Any) -> dict[str, str]:
    card = model.card
    return {
        "task": card.task,
        "contender": card.contender,
        "strategy": card.strategy,
        "data_sha256": card.data_digest,
        "backbone": card.backbone.architecture,
        "backbone_sha256": card.backbone.sha256,
        "seed": str(card.seed),
    }


def _requirements() -> list[str]:
    pinned = []
    for name in REQUIREMENTS:
        try:
            pinned.append(f"{name}=={version(name).partition('+')[0]}")
        except PackageNotFoundError:
            continue
    return pinned
