"""A tiny registered version of each task with its record and ledger, ready to be exported."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from served_cases import lay_case

from graft.adapters.datasets import RegisteredModelDataset
from graft.adapters.export.declared import DeclaredOptions
from graft.adapters.export.gathering import Asked
from graft.adapters.ledger import Ledger
from graft.adapters.ledger.mirror import mirror
from graft.adapters.lineage import DIGEST_TAG, RECORD, RUN_TAG
from graft.adapters.lineage.hook import PARAMETERS
from graft.adapters.lineage.record import Material
from graft.adapters.lineage.stages import Maker, Stage
from graft.adapters.lineage.writing import write_files
from graft.vision.evaluation.bootstrap import bootstrap_scores
from graft.vision.evaluation.options import EvaluationOptions
from graft.vision.model import TrainedModel
from graft.vision.promotion.options import PromotionOptions
from graft.vision.records import data_digest, digest_of_file

LOCK = """\
numpy==2.3.0 ; python_full_version >= '3.11' \\
    --hash=sha256:{0} \\
    --hash=sha256:{1}
torch==2.14.1 \\
    --hash=sha256:{1}
""".format("a" * 64, "b" * 64)
RULE = PromotionOptions(asks="better", slices={"begins with": r"^(\w)"}, slice_images_min=1)
EVALUATION = {"resamples": 100, "seed": 3}
BACKBONE = {"origin": "package tiny-weights 1.0", "sha256": "c" * 64, "licence": "Apache-2.0",
            "pretrained_on": "ImageNet-1k"}  # fmt: skip
TAGS = {"git.commit": "d" * 40, "git.tree": "e" * 40, "git.dirty": "false"}
QUALITY = {"quarantined": 1, "quarantine_reasons": {"truncated": 1}, "exact_copies": 0,
           "near_copies": 2, "leaking_images": 0, "findings": ["wasp has few images"]}  # fmt: skip


def lay_version(task: str, folder: Path, declared: dict[str, str] | None = None) -> Asked:
    """Registered as version 1 of ``tiny-TASK``, recorded, and promoted."""
    served = lay_case(task, folder)
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=(folder / "mlruns").as_uri())
    mlflow.set_experiment("tiny")
    split = _split(pd.read_parquet(served.predictions))
    model = _learned(served.model, split)
    outputs = _write_outputs(folder, task, model, split, served.predictions)
    (folder / "requirements.lock").write_text(LOCK)
    facts = {**TAGS, "lock.sha256": digest_of_file(folder / "requirements.lock")}
    conf = {"parameters": {task: {"evaluation": EVALUATION, "seed": 3}}, "globals": {},
            "overrides": {}}  # fmt: skip
    with mlflow.start_run(tags=facts):
        mlflow.log_dict(conf, PARAMETERS)
        mlflow.log_artifact(str(folder / "requirements.lock"), "code")
        for path in outputs.values():
            mlflow.log_artifact(str(folder / path), task)
        version = _record(folder, task, model, outputs, served.folder)
    ledger = _promote(folder, version)
    return Asked(folder, version, ledger, DeclaredOptions.parse(declared or {}, "test"))


def _split(predictions: pd.DataFrame) -> pd.DataFrame:
    """The test images, and three that the model learned from."""
    test = predictions[["id", "path", "sha256"]].assign(split="test")
    names = [f"train/{number}.png" for number in range(3)]
    train = pd.DataFrame({"id": names, "path": names, "sha256": [f"{i}" * 64 for i in range(3)]})
    rows = pd.concat([test, train.assign(split="train")], ignore_index=True)
    return rows.assign(width=64, height=64, truth=json.dumps({"classes": ["ant", "bee"]}))


def _learned(model: TrainedModel, split: pd.DataFrame) -> TrainedModel:
    learned = data_digest(split[split["split"] != "test"])
    backbone = model.card.backbone.model_copy(update=BACKBONE)
    facts = {"overfitting": [], "options": {"epochs": 2}}
    said = {"data_digest": learned, "backbone": backbone, "facts": facts}
    return TrainedModel(model.card.model_copy(update=said), model.module, model.task)


def _write_outputs(
    folder: Path, task: str, model: TrainedModel, split: pd.DataFrame, predictions: Path
) -> dict[str, Path]:
    """As stages leave them; paths below the project, by dataset name."""
    place = Path("data/08_reporting/tiny") / task
    (folder / place).mkdir(parents=True)
    rows = pd.read_parquet(predictions)
    metrics = model.task.new_metrics(rows, model.card.classes)
    scores = bootstrap_scores(metrics, list(rows["unit"]), EvaluationOptions(**EVALUATION))
    texts: dict[str, Any] = {
        "test_metrics": scores,
        "verdict": {"sentences": ["fine_tuned is chosen: it is alone."]},
        "harmony": [],
        "quality_report": QUALITY,
        "class_table": model.card.classes.model_dump(),
    }
    for name, value in texts.items():
        (folder / place / f"{name}.json").write_text(json.dumps(value))
    rows.to_parquet(folder / place / "test_predictions.parquet")
    split.to_parquet(folder / place / "split_manifest.parquet")
    return {path.stem: place / path.name for path in sorted((folder / place).iterdir())}


def _record(
    folder: Path, task: str, model: TrainedModel, outputs: dict[str, Path], raw: Path
) -> Any:
    client, run = mlflow.MlflowClient(), mlflow.active_run()
    standing = folder / "registered.json"
    RegisteredModelDataset(f"tiny-{task}", str(standing)).save(model)
    version = client.get_model_version(f"tiny-{task}", "1")
    own = Maker(client.get_run(run.info.run_id))
    named = {f"{task}.{name}": path for name, path in outputs.items()}
    stage = Stage("evaluation", named, (f"params:{task}.evaluation", f"params:{task}.seed"))
    material = Material(folder, task, version, own, [stage], [dict.fromkeys(named, own)], "tiny")
    (folder / "record").mkdir()
    write_files(folder / "record", material, raw)
    for file in sorted((folder / "record").iterdir()):
        mlflow.log_artifact(str(file), task)
    digest = digest_of_file(folder / "record" / RECORD)
    for name, value in {RUN_TAG: run.info.run_id, DIGEST_TAG: digest}.items():
        client.set_model_version_tag(version.name, "1", name, value)
    return client.get_model_version(version.name, "1")


def _promote(folder: Path, version: Any) -> Ledger:
    ledger = Ledger(folder / "data/09_ledger", version.name)
    said = {"rule": RULE.model_dump(mode="json"), "reason": "every floor is held"}
    with ledger.turn():
        intent = ledger.write("promote", "1", state="intent", evidence={"scores": {}}, **said)
        ledger.close(intent, "done")
    mirror(ledger, "tiny")
    return ledger
