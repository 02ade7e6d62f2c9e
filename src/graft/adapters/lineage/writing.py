"""Writes the record when a model is registered, and puts it where an auditor looks."""

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from graft.adapters.atomic import atomic_folder
from graft.adapters.lineage import DIGEST_TAG, FILES, FOLDER, IMAGES, RECORD, RUN_TAG, UNKNOWN
from graft.adapters.lineage.hook import MADE
from graft.adapters.lineage.record import Material, compose_record
from graft.adapters.lineage.registered import (
    MODEL,
    model_id_of,
    registered_facts,
    registered_files,
)
from graft.adapters.lineage.stages import Maker, makers_of, stages_of
from graft.adapters.lineage.tables import files_table, images_facts, images_table
from graft.adapters.tracking.recording import log_splits
from graft.vision.records import digest_of_file

EVIDENCE = ("split_manifest", "test_predictions")
"""Outputs that a decision on a version rests on, which its run keeps whoever made them."""


def write_lineage(
    project: Path, catalog: Any, task: str, run_id: str, conf: Mapping[str, Any]
) -> None:
    """Write the record of the version that was just registered.

    A version that stood already and has its record keeps it; the run gets one of its own.
    """
    import mlflow

    client = mlflow.MlflowClient()
    said = catalog.load(f"{task}.registered_model")
    version = client.get_model_version(said["name"], said["version"])
    run = client.get_run(run_id)
    own = Maker(run)
    stages = stages_of(task, catalog, project)
    makers = [makers_of(stage, project, own, run.info.experiment_id) for stage in stages]
    material = Material(project, task, version, own, stages, makers, conf["environment"])
    raw = project / str(conf["globals"].get("raw", ""))
    with TemporaryDirectory() as folder:
        record = write_files(Path(folder), material, raw)
        _place(client, Path(folder), material, record)


def write_files(folder: Path, material: Material, raw: Path) -> dict[str, Any]:
    """Write the record and its tables below a folder; returns the record."""
    images, files = _tables(folder, material, raw)
    with registered_files(material.version) as registered:
        card = json.loads((registered / MODEL / "card.json").read_text())
        facts = registered_facts(registered)
    record = compose_record(material, card, images, files, facts, _live(material.version))
    (folder / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False, default=str))
    if images != UNKNOWN:
        _log_inputs(material, record)
    return record


def _tables(folder: Path, material: Material, raw: Path) -> tuple[Any, Any]:
    """Facts of the images, and of the other files; unknown what is not there."""
    import pandas as pd

    path = material.path_of("split_manifest")
    manifest = None if path is None else material.project / path
    if manifest is None or not manifest.is_file():
        return UNKNOWN, UNKNOWN
    images = images_table(pd.read_parquet(manifest))
    images.to_parquet(folder / IMAGES, index=False)
    facts = {**images_facts(images), "table_sha256": digest_of_file(folder / IMAGES)}
    if not raw.is_dir():
        return facts, UNKNOWN
    conf = material.stage("ingestion").conf
    block = conf.get("parameters", {}).get(material.task, {}).get("ingestion", {})
    below = str(block.get("source", {}).get("folder", ""))
    others = files_table(images, raw, below)
    others.to_parquet(folder / FILES, index=False)
    beside = {"folder": below, "count": len(others), "table_sha256": digest_of_file(folder / FILES)}
    return facts, beside


def _live(version: Any) -> dict[str, str]:
    """Which versions the aliases of this model name now; what is registered is no champion yet."""
    import mlflow

    aliases = mlflow.MlflowClient().get_registered_model(version.name).aliases
    return {"champion": "none", **{name: str(number) for name, number in sorted(aliases.items())}}


def _place(client: Any, folder: Path, material: Material, record: Mapping[str, Any]) -> None:
    """On the run always; with the models and on the version unless a record stands there."""
    version, task, run_id = material.version, material.task, material.own.run_id
    digest = digest_of_file(folder / RECORD)
    for file in sorted(folder.iterdir()):
        client.log_artifact(run_id, str(file), task)
    for file in _evidence(material):
        client.log_artifact(run_id, str(file), task)
    client.set_tag(run_id, f"{task}.{DIGEST_TAG}", digest)
    if DIGEST_TAG in version.tags:
        return
    _keep(folder, material)
    model_id = model_id_of(version)
    if model_id is not None:
        client.set_logged_model_tags(model_id, {DIGEST_TAG: digest})
    client.update_model_version(version.name, version.version, _in_words(record))
    tags = {
        RUN_TAG: run_id,
        "git.commit": record["code"]["commit"],
        "dvc.md5": record["data"]["dvc_md5"],
        DIGEST_TAG: digest,  # last: with it the record counts as written
    }
    for key, value in tags.items():
        client.set_model_version_tag(version.name, version.version, key, value)


def _in_words(record: Mapping[str, Any]) -> str:
    """What people read first on the version's page: what it is, and how good."""
    model, metrics, parent = record["model"], record["metrics"], record["parent"]
    said = f"{model['contender']} on {record['backbone']['architecture']}"
    if isinstance(parent, dict):
        said += f", from {parent['name']}/{parent['version']} ({parent['gave']})"
    scores = {} if metrics == UNKNOWN else metrics["scores"]
    for name, score in [*scores.items()][:1]:  # the primary one stands first
        known = isinstance(score["value"], float)
        said += f"; {name} " + (
            f"{score['value']:.3f} ({score['low']:.3f} to {score['high']:.3f})" if known else "n/a"
        )
    return f"{said}. All facts: `kedro model audit {model['name']}/{model['version']}`"


def _evidence(material: Material) -> Iterator[Path]:
    """Where stages ran one by one, another run has the files that this one registers by."""
    for name in EVIDENCE:
        path, own = material.path_of(name), material.own.tags
        made_here = f"{MADE}.{material.task}.{name}" in own
        if path is not None and not made_here and (material.project / path).is_file():
            yield material.project / path


def _keep(folder: Path, material: Material) -> None:
    """Beside the case's models too, for whom the artifact store has gone."""
    models = material.path_of("chosen_model")
    if models is not None:
        target = material.project / models.parent / FOLDER / str(material.version.version)
        with atomic_folder(target) as part:
            for file in sorted(folder.iterdir()):
                shutil.copyfile(file, part / file.name)


def _log_inputs(material: Material, record: Mapping[str, Any]) -> None:
    """Each split as a dataset input of the run; scores bind the test set to the logged model."""
    import mlflow

    images, metrics, task = record["images"], record["metrics"], material.task
    version = {f"dvc.{name.removeprefix('dvc_')}": said for name, said in record["data"].items()}
    datasets = log_splits(task, images["sha256_by_split"], images["by_split"], version)
    model_id = model_id_of(material.version)
    if model_id is not None and metrics != UNKNOWN and "test" in datasets:
        values = {f"{task}.{name}": score["value"] for name, score in metrics["scores"].items()}
        scores = {name: value for name, value in values.items() if isinstance(value, int | float)}
        mlflow.log_metrics(scores, model_id=model_id, dataset=datasets["test"])
