"""A small classification case whose models are right on chosen images, registered as runs do."""

import copy
import json
from collections.abc import Sequence
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

MODEL = "tiny-classification"
RULE = PromotionOptions(
    asks="better", resamples=200, class_score="recall", class_floor=0.0, class_loss_max=1.0,
    check_images=2,
)  # fmt: skip


@dataclass(frozen=True)
class Registry:
    """An MLflow store, images, and a model that can be made to be right on any of them."""

    case: Case
    model: TrainedModel
    split: pd.DataFrame
    known: pd.DataFrame
    features: torch.Tensor

    def by(self, **rule: Any) -> Case:
        """The case with other values of its rule."""
        return replace(self.case, rule=RULE.model_copy(update=rule))

    def register(
        self, right: Sequence[bool], seed: int = 0, dirty: str = "false", split: Any = None
    ) -> str:
        """A version that is right on these test images; its number."""
        rows = self.split if split is None else split
        model = self._model(right, seed, rows)
        test = rows[rows["split"] == "test"]
        known = self.known.assign(truth=[json.loads(t)["classes"][0] for t in test["truth"]])
        files = [self.case.raw / path for path in known["path"]]
        said = predict_images(model, files).drop(columns="error")
        assert list(said["prediction"] == self.known["truth"]) == list(right)
        folder = self.case.project / "written"
        folder.mkdir(exist_ok=True)
        predicted = pd.concat([known, said], axis=1)
        predicted.to_parquet(folder / "test_predictions.parquet")
        rows.to_parquet(folder / "split_manifest.parquet")
        facts = {"git.dirty": dirty, "git.commit": "c" * 40}
        facts["machine.threads"] = str(torch.get_num_threads())
        record = self.case.project / "reports/registered_model.json"
        with mlflow.start_run(tags=facts):
            mlflow.log_artifacts(str(folder), "classification")
            RegisteredModelDataset(MODEL, str(record)).save(model)
        return str(json.loads(record.read_text())["version"])

    def _model(self, right: Sequence[bool], seed: int, rows: pd.DataFrame) -> TrainedModel:
        wanted = [CLASSES.index(name) for name in self.known["truth"]]
        said = [kind if good else (kind + 1) % 3 for kind, good in zip(wanted, right, strict=True)]
        scale = 6.0 + seed
        weight = torch.linalg.pinv(self.features) @ (scale * torch.eye(3).double()[said])
        module = copy.deepcopy(self.model.module)
        (linear,) = (part for part in module.head.modules() if isinstance(part, torch.nn.Linear))
        with torch.no_grad():
            linear.weight.copy_(weight.T)
            linear.bias.zero_()
        learned = data_digest(rows[rows["split"] != "test"])
        card = self.model.card.model_copy(update={"data_digest": learned})
        return TrainedModel(card, module, self.model.task)


def open_registry(folder: Path) -> Registry:
    """Nine test images and an empty store; MLflow points at it."""
    served = lay_case("classification", folder)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=(folder / "mlruns").as_uri())
    mlflow.set_experiment("tiny")
    (folder / "reports").mkdir()
    table = pd.read_parquet(served.predictions)
    known = table[["id", "path", "sha256", "unit", "contender", "truth"]]
    case = Case(folder, "tiny", MODEL, served.model.task.name, RULE, served.folder, "tiny")
    features = _features(served.model, [served.folder / path for path in known["path"]])
    return Registry(case, served.model, _split(known), known, features)


def _features(model: TrainedModel, files: Sequence[Path]) -> torch.Tensor:
    """(N, D) float64: what the head is given."""
    given: list[torch.Tensor] = []
    hook = model.module.head.register_forward_hook(lambda _, args, __: given.append(args[0]))
    model.outputs([decode(file.read_bytes(), INGESTION.decoding).pixels for file in files])
    hook.remove()
    return torch.cat(given).double()


def _split(known: pd.DataFrame) -> pd.DataFrame:
    """The test images, and three that models have learned from."""
    test = known[["id", "path", "sha256"]].assign(split="test")
    test["truth"] = [json.dumps({"classes": [name]}) for name in known["truth"]]
    names = [f"train/{i}.png" for i in range(3)]
    train = pd.DataFrame({"id": names, "path": names, "sha256": [f"{i}" * 64 for i in range(3)]})
    train = train.assign(split="train", truth=json.dumps({"classes": ["ant"]}))
    rows = pd.concat([test, train], ignore_index=True)
    return rows.assign(cluster=rows["id"], group="")


def some(number: int, images: int = 9) -> list[bool]:
    """Right on the first so many images."""
    return list(np.arange(images) < number)
