"""The chosen model in the MLflow registry, as a challenger."""

import json
import tempfile
import warnings
from functools import partial
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset, DatasetError

from graft.adapters.atomic import atomic_file
from graft.adapters.tracking.package import ENTRANCE, Package, pack, requirements, signature_of

ALIAS = "challenger"
ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")
"""What MLflow says where there is no such model or alias yet."""


class RegisteredModelDataset(AbstractDataset[Any, dict[str, Any]]):
    """Saves a `TrainedModel` as a pyfunc from code, registers it, and points ``challenger`` at it.

    A model whose weights, card and predicting code are those of the standing challenger is not
    registered again, whatever minutes it took.

    Args:
        name: of the registered model.
        filepath: JSON that says which version stands; what ``load`` returns.
    """

    def __init__(self, name: str, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        self.name = name
        self.path = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Any]:
        """What stands: name, version, alias, digests."""
        return dict(json.loads(self.path.read_text()))

    def save(self, data: Any) -> None:
        """Register the model.

        Raises:
            DatasetError: when no MLflow run is open.
            UnregisteredError: when MLflow does not answer; it says what registers the model later.
        """
        import mlflow

        from graft.adapters.tracking.run import open_run

        run = open_run()
        if run is None and mlflow.active_run() is None:
            raise DatasetError("no MLflow run is open; next: keep TrackingHook in settings.HOOKS")
        with tempfile.TemporaryDirectory() as folder:
            package = pack(data, Path(folder))
            register = partial(_keep, self.name, data, package, self.path)
            found = register() if run is None else run.register(self.name, register)
        record = {"name": self.name, "version": str(found.version), "alias": ALIAS}
        # The digests of what is registered, which an equal model with other minutes would not have.
        record |= {name: found.tags[name] for name in package.digests}
        with atomic_file(self.path) as part:
            part.write_text(json.dumps(record, indent=2) + "\n")

    def _exists(self) -> bool:
        return self.path.is_file()

    def _describe(self) -> dict[str, Any]:
        return {"name": self.name, "filepath": str(self.path)}


def _keep(name: str, model: Any, package: Package, record: Path) -> Any:
    """The version that stands for this model, and the run that says so."""
    import mlflow

    found = _standing(name, package.digests["identity_sha256"]) or _register(name, model, package)
    mlflow.set_tag(f"registered.{name}", found.version)
    _complete_run(model.card, record)
    return found


def _standing(name: str, identity: str) -> Any:
    """The version that the challenger alias points at, when it is this very model; or None."""
    import mlflow
    from mlflow.exceptions import MlflowException

    try:
        standing = mlflow.MlflowClient().get_model_version_by_alias(name, ALIAS)
    except MlflowException as error:
        if error.error_code not in ABSENT:
            raise
        return None
    return standing if standing.tags.get("identity_sha256") == identity else None


def _register(name: str, model: Any, package: Package) -> Any:
    import mlflow

    with warnings.catch_warnings():
        # MLflow asks for an example to check the signature by; tests do, with real images.
        warnings.filterwarnings("ignore", ".*input example was not provided", UserWarning)
        info = mlflow.pyfunc.log_model(
            name=name,
            python_model=str(ENTRANCE),
            artifacts={"model": str(package.files)},
            code_paths=[str(package.code)],
            signature=signature_of(model),
            pip_requirements=requirements(model.card.task),
        )
    created = _new_version(name, info, {**_tags(model.card), **package.digests})
    mlflow.MlflowClient().set_registered_model_alias(name, ALIAS, created.version)
    return created


def _new_version(name: str, info: Any, tags: dict[str, str]) -> Any:
    """By the client: ``mlflow.register_model`` talks between a run's own lines."""
    import mlflow
    from mlflow.exceptions import MlflowException

    client = mlflow.MlflowClient()
    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    created = client.create_model_version(
        name, info.model_uri, run_id=info.run_id, tags=tags, model_id=info.model_id
    )
    link = json.dumps([{"name": name, "version": created.version}])
    client.set_logged_model_tags(info.model_id, {"mlflow.modelVersions": link})
    return created


def _complete_run(card: Any, record: Path) -> None:
    """Keep the card and the case's reports with this run, also where other runs made them."""
    import mlflow

    mlflow.log_dict(card.model_dump(mode="json"), f"{card.task}/model_card.json")
    run_id = mlflow.active_run().info.run_id
    files = mlflow.MlflowClient().list_artifacts(run_id, card.task)
    known = {record.name, *(Path(file.path).name for file in files)}
    for file in sorted(record.parent.glob("[!.]*")):
        if file.is_file() and file.name not in known:
            mlflow.log_artifact(str(file), card.task)


def _tags(card: Any) -> dict[str, str]:
    return {
        "task": card.task,
        "contender": card.contender,
        "strategy": card.strategy,
        "data_sha256": card.data_digest,
        "backbone": card.backbone.architecture,
        "backbone_sha256": card.backbone.sha256,
        "seed": str(card.seed),
    }
