"""The lineage record of one registered version: what an auditor asks of it, as one JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.dvc_objects import VERIFIED
from graft.adapters.lineage.hook import JUDGED, MAKING
from graft.adapters.lineage.outputs import CARD
from graft.adapters.lineage.parents import parent_said
from graft.adapters.lineage.stages import Maker, Stage, describe_stage, main_maker
from graft.vision.records import digest_of

SCHEMA = 1
HISTORIES = {"fine_tuned_history": "fine_tuning", "scratch_history": "control"}
"""Trainings by epoch, with the block of parameters that plans each."""


@dataclass(frozen=True)
class Material:
    """What a record is made of, gathered when a model is registered."""

    project: Path
    task: str
    version: Any
    """MLflow's model version."""
    own: Maker
    """The run that registers."""
    stages: list[Stage]
    makers: list[dict[str, Maker]]
    """Of each stage's outputs, by dataset name."""
    environment: str

    def stage(self, name: str) -> Maker:
        """The run that made most of a stage; one that knows nothing where there is none."""
        places = [i for i, stage in enumerate(self.stages) if stage.name == name]
        return main_maker(self.makers[places[0]]) if places else Maker(None)

    def path_of(self, name: str) -> Path | None:
        """Where an output lies below the project; None where no stage has it."""
        full = f"{self.task}.{name}"
        return next((s.outputs[full] for s in self.stages if full in s.outputs), None)

    def output(self, name: str) -> Any:
        """A record of the case, read from data/; None where it is not there."""
        path = self.path_of(name)
        if path is None or not (self.project / path).is_file():
            return None
        return json.loads((self.project / path).read_text())


def compose_record(
    material: Material,
    card: Mapping[str, Any],
    images: Mapping[str, Any] | str,
    files: Mapping[str, Any] | str,
    registered: Mapping[str, Any],
    live: Mapping[str, Any],
) -> dict[str, Any]:
    """Every line of what an auditor asks, each with its value or ``unknown``.

    Args:
        card: of the registered model.
        images, files: facts of the two tables.
        registered: SHA-256 of every registered file.
        live: which versions the aliases named before.
    """
    ingestion = material.stage("ingestion")
    stages = [
        describe_stage(stage, material.project, makers)
        for stage, makers in zip(material.stages, material.makers, strict=True)
    ]
    parameters = _union(stages)
    return {
        "schema": SCHEMA,
        "model": _model(material, card),
        "parent": _parent(material, card),
        "data": {
            "path": ingestion.tag("dvc.path"),
            "dvc_md5": ingestion.tag("dvc.md5"),
            "dvc_stated": ingestion.tag("dvc.stated"),
            "dvc_verified": ingestion.tag(VERIFIED),
        },
        "images": images,
        "annotations": {"source": _source(parameters, material.task), "files": files},
        "code": material.own.code(),
        "making_sha256": material.own.tag(f"{material.task}.{MAKING}"),
        "configuration": _configuration(material, parameters),
        "lock": {"sha256": material.own.tag("lock.sha256")},
        "machine": _machine(stages, card),
        "seeds": _seeds(parameters, card),
        "epochs": {name: _epochs(material, name) for name in HISTORIES},
        "backbone": _backbone(card),
        "augmentation": _augmentation(material),
        "metrics": _metrics(material, card, images),
        "registered": registered,
        "live": live,
        "stages": [_without_repeats(stage) for stage in stages],
    }


def _model(material: Material, card: Mapping[str, Any]) -> dict[str, str]:
    version = material.version
    return {
        "name": version.name,
        "version": str(version.version),
        "task": material.task,
        "contender": str(card.get("contender", UNKNOWN)),
        "run_id": version.run_id or UNKNOWN,
        "recorded_by_run": material.own.run_id,
        "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _parent(material: Material, card: Mapping[str, Any]) -> Any:
    path = material.path_of("fine_tuned")
    file = None if path is None else material.project / path / CARD
    if file is None or not file.is_file():
        return UNKNOWN
    return parent_said(json.loads(file.read_text()), card)


def _union(stages: list[dict[str, Any]]) -> dict[str, Any]:
    """The parameters of all stages; where two stages read other values, those of the later one."""
    known = [stage["parameters"] for stage in stages if stage["parameters"] != UNKNOWN]
    return {name: value for read in known for name, value in read.items()}


def _without_repeats(stage: dict[str, Any]) -> dict[str, Any]:
    """The stage with the names of what it reads; their values stand in the configuration."""
    read = stage["parameters"]
    return {**stage, "parameters": read if read == UNKNOWN else sorted(read)}


def _source(parameters: Mapping[str, Any], task: str) -> Any:
    return parameters.get(f"{task}.ingestion", {}).get("source", UNKNOWN)


def _configuration(material: Material, parameters: Mapping[str, Any]) -> Any:
    if not parameters:
        return UNKNOWN
    conf = next((m.conf for made in material.makers for m in made.values() if m.conf), {})
    return {
        "environment": material.environment,
        "globals": conf["globals"],
        "overrides": conf["overrides"],
        "parameters": dict(parameters),
        "sha256": digest_of(parameters),
    }


def _machine(stages: list[dict[str, Any]], card: Mapping[str, Any]) -> Any:
    """That of the stage that trained the model; the others' stand with their stages."""
    trained = "probing" if card.get("contender") == "probe" else "fine_tuning"
    found = [stage["machine"] for stage in stages if stage["stage"] == trained]
    on_card = card.get("facts", {}).get("machine", UNKNOWN)
    return found[0] if found and found[0] != UNKNOWN else on_card


def _seeds(parameters: Mapping[str, Any], card: Mapping[str, Any]) -> dict[str, Any]:
    """Every seed that was set, by the name of its parameter; and that on the model's card."""
    found: dict[str, Any] = {"card": card.get("seed", UNKNOWN)}

    def look(prefix: str, value: Any) -> None:
        if prefix.rpartition(".")[2] == "seed":
            found[prefix] = value
        elif isinstance(value, dict):
            for key, inner in value.items():
                look(f"{prefix}.{key}", inner)

    for name, value in parameters.items():
        look(name, value)
    return found


def _epochs(material: Material, name: str) -> Any:
    """How many epochs a contender was trained, which a budget of time may have decided."""
    path = material.path_of(name)
    if path is None or not (material.project / path).is_file():
        return UNKNOWN
    return len((material.project / path).read_text().splitlines()) - 1


def _backbone(card: Mapping[str, Any]) -> dict[str, str]:
    contract = card.get("backbone", {})
    names = ("architecture", "origin", "sha256", "licence", "pretrained_on")
    facts = {name: str(contract.get(name) or UNKNOWN) for name in names}
    if contract.get("origin") == "none":  # from scratch: there is nothing to be known
        facts |= dict.fromkeys(("sha256", "licence", "pretrained_on"), "none")
    return facts


def _augmentation(material: Material) -> Any:
    policy = material.output("augmentation_policy")
    return UNKNOWN if policy is None else {"policy": policy, "sha256": digest_of(policy)}


def _metrics(material: Material, card: Mapping[str, Any], images: Any) -> Any:
    """Scores, and the digests of model, test set, preprocessing and code that they belong to."""
    scores = material.output("test_metrics")
    if scores is None:
        return UNKNOWN
    test = images if images == UNKNOWN else images["sha256_by_split"].get("test", UNKNOWN)
    view = [card.get("preprocessing", UNKNOWN), card.get("decoding", UNKNOWN)]
    bound = {
        "weights_sha256": material.version.tags.get("weights_sha256", UNKNOWN),
        "test_sha256": test,
        "preprocessing_sha256": digest_of(view),
        "code_sha256": material.stage("evaluation").tag(f"{material.task}.{JUDGED}"),
    }
    return {"scores": scores, "sha256": digest_of(scores), "bound_to": bound}
