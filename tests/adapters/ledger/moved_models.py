"""A registered model whose versions hold nothing, in an MLflow store of its own."""

from pathlib import Path

import mlflow

from graft.adapters.promotion.case import Case

MODEL = "tiny-classification"


def case_in(folder: Path) -> Case:
    return Case(folder, "tiny", MODEL, "classification", None, folder / "raw", "tiny")


def new_store(folder: Path, versions: int) -> Case:
    """A store with this many versions, none of them champion."""
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    client = mlflow.MlflowClient()
    client.create_experiment("tiny", artifact_location=(folder / "mlruns").as_uri())
    client.create_registered_model(MODEL)
    for _ in range(versions):
        client.create_model_version(MODEL, (folder / "nothing").as_uri())
    return case_in(folder)
