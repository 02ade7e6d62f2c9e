"""A small case of each task whose models are right on chosen images, registered as runs do."""

import copy
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from served_cases import CLASSES, INGESTION, lay_case

from graft.adapters.datasets import RegisteredModelDataset
from graft.adapters.promotion.case import Case
from graft.vision.data.decoding import decode
from graft.vision.model import TrainedModel
from graft.vision.promotion.options import PromotionOptions
from graft.vision.records import data_digest
from graft.vision.serving import predict_images
from graft.vision.tasks import choose_task, load_trained

MODEL = "tiny-classification"
RULE = PromotionOptions(
    asks="better", resamples=200, class_score="recall", class_floor=0.0, class_loss_max=1.0,
    check_images=2,
)  # fmt: skip


@dataclass(frozen=True)
class Registry:
    """An MLflow store, images, and models that are registered in it."""

    case: Case
    model: TrainedModel
    split: pd.DataFrame
    known: pd.DataFrame
    features: torch.Tensor | None = None

    def by(self, **rule: Any) -> Case:
        """The case with other values of its rule."""
        return replace(self.case, rule=RULE.model_copy(update=rule))

    def register(
        self, right: Sequence[bool], seed: int = 0, dirty: str = "false", split: Any = None
    ) -> str:
        """A classifier that is right on these test images; the number of its version."""
        model = self._right_on(right, seed)
        known, said = self.keep(model, dirty, split)
        named = [json.loads(text)["classes"][0] for text in self.split["truth"][: len(known)]]
        assert list(said["prediction"] == named) == list(right)
        return self.number

    def keep(
        self, model: TrainedModel, dirty: str = "false", split: Any = None
    ) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Register a model as a run does; returns what is known of the images, and what it said."""
        rows = self.split if split is None else split
        learned = data_digest(rows[rows["split"] != "test"])
        card = model.card.model_copy(update={"data_digest": learned})
        model = TrainedModel(card, model.module, model.task)
        test = rows[rows["split"] == "test"]
        known = self.known.assign(truth=[_in_table(text) for text in test["truth"]])
        said = predict_images(model, [self.case.raw / path for path in known["path"]])
        said = said.drop(columns="error")
        folder = self.case.project / "written"
        folder.mkdir(exist_ok=True)
        pd.concat([known, said], axis=1).to_parquet(folder / "test_predictions.parquet")
        rows.to_parquet(folder / "split_manifest.parquet")
        facts = {"git.dirty": dirty, "git.commit": "c" * 40}
        facts["machine.threads"] = str(torch.get_num_threads())
        with mlflow.start_run(tags=facts):
            mlflow.log_artifacts(str(folder), self.case.task_name)
            RegisteredModelDataset(self.case.model, str(self.record)).save(model)
        return known, said

    @property
    def record(self) -> Path:
        return self.case.project / "reports/registered_model.json"

    @property
    def number(self) -> str:
        """Of the version that was registered last."""
        return str(json.loads(self.record.read_text())["version"])

    def _right_on(self, right: Sequence[bool], seed: int) -> TrainedModel:
        assert self.features is not None
        wanted = [CLASSES.index(name) for name in self.known["truth"]]
        said = [kind if good else (kind + 1) % 3 for kind, good in zip(wanted, right, strict=True)]
        scale = 6.0 + seed
        weight = torch.linalg.pinv(self.features) @ (scale * torch.eye(3).double()[said])
        module = copy.deepcopy(self.model.module)
        (linear,) = (part for part in module.head.modules() if isinstance(part, torch.nn.Linear))
        with torch.no_grad():
            linear.weight.copy_(weight.T)
            linear.bias.zero_()
        return TrainedModel(self.model.card, module, self.model.task)


def open_registry(folder: Path, task: str = "classification", store: str | None = None) -> Registry:
    """Nine test images and an empty store; MLflow points at it.

    ``store``: the address of a server, which keeps artifacts itself; a file of the folder's own
    when None.

    The truth of boxes and masks is what the case's model says of them: it is right throughout.
    """
    served = lay_case(task, folder)
    mlflow.set_tracking_uri(store or f"sqlite:///{folder}/mlflow.db")
    place = None if store else (folder / "mlruns").as_uri()
    mlflow.create_experiment("tiny", artifact_location=place)
    mlflow.set_experiment("tiny")
    (folder / "reports").mkdir()
    table = pd.read_parquet(served.predictions)
    known = table[["id", "path", "sha256", "unit", "contender", "truth"]]
    by_class = choose_task({"name": task})[0].class_metric
    rule = RULE.model_copy(update={"class_score": by_class, "class_images_min": 1})
    if task == "classification":
        features = _features(served.model, [served.folder / path for path in known["path"]])
    else:
        features, known = None, known.assign(truth=_said(table))
    case = Case(folder, "tiny", f"tiny-{task}", task, rule, served.folder, "tiny")
    return Registry(case, served.model, _split(known), known, features)


def untrained(registry: Registry, seed: int) -> TrainedModel:
    """The case's model with another head, that nobody trained."""
    module = copy.deepcopy(registry.model.module)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.head.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(parameter + noise * parameter.std(correction=0).clamp(min=0.1))
    return TrainedModel(registry.model.card, module, registry.model.task)


class Snapshot:
    """A registry as it stood, to be laid again for each test: a store takes long to make.

    Artifacts keep their address, which the database holds; the database gets a new one, for MLflow
    keeps connections to those that it knows.
    """

    def __init__(self, registry: Registry, kept: Path) -> None:
        self._registry, self._kept = registry, kept
        shutil.copytree(registry.case.project, kept)

    @contextmanager
    def laid(self, folder: Path) -> Iterator[Registry]:
        """The registry, with its database below ``folder``; MLflow's address is put back."""
        project, before = self._registry.case.project, mlflow.get_tracking_uri()
        shutil.rmtree(project)
        shutil.copytree(self._kept, project)
        shutil.copy(project / "mlflow.db", folder)
        os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"  # as a connection sets it
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        mlflow.set_experiment("tiny")
        yield self._registry
        mlflow.set_tracking_uri(before)


def predict_here(
    model: Path, images: Sequence[Path], timeout_s: float, threads: int | None = None
) -> pd.DataFrame:
    """In place of a clean process, where a test is not about that: it takes seconds to begin."""
    assert threads == torch.get_num_threads()
    return predict_images(load_trained(model / "artifacts/model"), images).drop(columns="error")


def _features(model: TrainedModel, files: Sequence[Path]) -> torch.Tensor:
    """(N, D) float64: what the head is given."""
    given: list[torch.Tensor] = []
    hook = model.module.head.register_forward_hook(lambda _, args, __: given.append(args[0]))
    model.outputs([decode(file.read_bytes(), INGESTION.decoding).pixels for file in files])
    hook.remove()
    return torch.cat(given).double()


def _said(table: pd.DataFrame) -> list[str]:
    """Predictions as truths: without how sure a model is of them."""
    words = [json.loads(text) for text in table["prediction"]]
    return [json.dumps({k: v for k, v in said.items() if k != "scores"}) for said in words]


def _split(known: pd.DataFrame) -> pd.DataFrame:
    """The test images, and three that models have learned from."""
    test = known[["id", "path", "sha256"]].assign(split="test")
    test["truth"] = [_in_manifest(text) for text in known["truth"]]
    names = [f"train/{i}.png" for i in range(3)]
    train = pd.DataFrame({"id": names, "path": names, "sha256": [f"{i}" * 64 for i in range(3)]})
    train = train.assign(split="train", truth=json.dumps({"classes": ["ant"]}))
    rows = pd.concat([test, train], ignore_index=True)
    return rows.assign(cluster=rows["id"], group="")


def _in_manifest(truth: str) -> str:
    """A manifest states a class as JSON; a table of predictions states its name."""
    return truth if truth.startswith("{") else json.dumps({"classes": [truth]})


def _in_table(truth: str) -> str:
    said = json.loads(truth)
    return str(said["classes"][0]) if list(said) == ["classes"] else truth


def some(number: int, images: int = 9) -> list[bool]:
    """Right on the first so many images."""
    return list(np.arange(images) < number)
