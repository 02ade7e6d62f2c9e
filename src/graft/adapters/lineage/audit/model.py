"""The model: its backbone, policy, scores and registered bytes, and what its stages left."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.audit.case import Audited
from graft.adapters.lineage.audit.rows import (
    MISSING,
    Fault,
    Row,
    compared,
    flat,
    judged,
    unrecorded,
)
from graft.adapters.lineage.backbone_file import backbone_file
from graft.adapters.lineage.hashing import facts_of_file
from graft.adapters.lineage.outputs import content_of_output
from graft.adapters.lineage.registered import MODEL, differences, manifest_of, registered_files
from graft.vision.errors import WeightsError
from graft.vision.records import digest_of

ELSEWHERE = ("split_manifest", "augmentation_policy", "test_metrics")
"""Outputs that rows of their own compare."""


def check_registered(case: Audited) -> Row:
    """SHA-256 of every registered file, against the manifest and the tags of the version."""
    fact, said = "registered bytes", case.record["registered"]
    try:
        with registered_files(case.version) as folder:
            found = manifest_of(folder)
    except WeightsError as error:
        return judged(fact, said["sha256"], [Fault("folder", said["sha256"], str(error))])
    wrong = differences(said["files"], found)
    faults = [Fault(each["file"], each["expected"], each["found"]) for each in wrong]
    weights = said["files"].get(f"{MODEL}/model.safetensors", MISSING)
    tagged = case.version.tags.get("weights_sha256", MISSING)
    if tagged != weights:
        faults.append(Fault("tag weights_sha256 of the version", weights, tagged))
    return judged(fact, said["sha256"], faults, f"{len(found)} files hashed")


def check_backbone(case: Audited) -> Row:
    """Origin, digest, licence and pre-training are declared, and the file is the one declared."""
    said = case.record["backbone"]
    faults = [Fault(name, UNKNOWN, "not declared") for name, v in said.items() if v == UNKNOWN]
    if said["origin"] == "none":
        return judged("backbone", "from scratch", faults)
    file = backbone_file(said, case.record["configuration"], case.task)
    facts = facts_of_file(file) if file else None
    if said["sha256"] != UNKNOWN and (facts is None or facts.sha256 != said["sha256"]):
        place = f"weights of {said['origin']}"
        faults.append(Fault(place, said["sha256"], facts.sha256 if facts else MISSING))
    recorded = ", ".join(f"{name}: {value}" for name, value in said.items())
    return judged("backbone", recorded, faults)


def check_policy(case: Audited) -> Row:
    """The augmentation policy as executed: its record in data/, and its digest on the card."""
    fact, said = "augmentation policy", case.record["augmentation"]
    if said == UNKNOWN:
        return unrecorded(fact)
    faults = list(_json_faults(case, "augmentation_policy", said["policy"], said["sha256"]))
    if digest_of(said["policy"]) != said["sha256"]:
        faults.append(Fault("digest of the policy", said["sha256"], digest_of(said["policy"])))
    executed = _card(case).get("facts", {}).get("policy_sha256", said["sha256"])
    if executed != said["sha256"]:
        faults.append(Fault("policy on the model's card", said["sha256"], executed))
    return judged(fact, said["sha256"], faults, f"preset {said['policy'].get('preset')}")


def check_metrics(case: Audited) -> Row:
    """The scores, and that model and test set are still those that they were measured on."""
    fact, said = "metrics", case.record["metrics"]
    if said == UNKNOWN:
        return unrecorded(fact)
    bound = said["bound_to"]
    faults = list(_json_faults(case, "test_metrics", said["scores"], said["sha256"]))
    faults += list(_tracked_faults(case, said["scores"]))
    faults += case.output_fault("test_predictions")
    faults += [Fault(name, UNKNOWN, "not recorded") for name, v in bound.items() if v == UNKNOWN]
    found = {
        "weights_sha256": case.record["registered"]["files"].get(f"{MODEL}/model.safetensors"),
        "test_sha256": case.record["images"]["sha256_by_split"].get("test"),
    }
    faults += list(compared({name: bound[name] for name in found}, found))
    first, score = next(iter(said["scores"].items()))
    measured = f"{first} {score['value']}, bound to test set {bound['test_sha256']}"
    return judged(fact, measured, faults)


def check_outputs(case: Audited) -> Row:
    """What each stage left in data/, and that a run is known to have made it."""
    faults: list[Fault] = []
    for name, output in case.outputs.items():
        if output["run_id"] == UNKNOWN:
            faults.append(Fault(f"run that made {output['path']}", UNKNOWN, "no run states it"))
        if name not in ELSEWHERE and case.stands:
            faults += list(_output_faults(case, output))
    note = f"{len(case.outputs)} outputs of {len(case.record['stages'])} stages"
    if not case.stands:
        note += "; a later version's stand in data/, and are not compared"
    return judged("stage outputs", digest_of(case.outputs), faults, note)


def _json_faults(case: Audited, name: str, expected: Any, digest: str) -> Iterator[Fault]:
    """The values by which a record in data/ differs from what was recorded of it."""
    place, data = str(case.outputs.get(name, {}).get("path", name)), case.output_bytes(name)
    if data is None:
        yield Fault(place, digest, MISSING)
        return
    try:
        found = json.loads(data)
    except ValueError:
        yield Fault(place, digest, "damaged")
        return
    for fault in compared(flat("", expected), flat("", found)):
        yield Fault(f"{place}: {fault.what}", fault.expected, fault.found)


def _tracked_faults(case: Audited, scores: dict[str, Any]) -> Iterator[Fault]:
    """Scores that the run in MLflow states otherwise."""
    import mlflow
    from mlflow.exceptions import MlflowException

    run_id = case.outputs["test_metrics"]["run_id"]
    if run_id == UNKNOWN:
        return
    try:
        stated = mlflow.MlflowClient().get_run(run_id).data.metrics
    except MlflowException:
        yield Fault(f"run {run_id}", "in MLflow", MISSING)
        return
    for name, score in scores.items():
        found = stated.get(f"{case.task}.{name}")
        if isinstance(score["value"], int | float) and found != float(score["value"]):
            yield Fault(f"run {run_id}: {case.task}.{name}", str(score["value"]), str(found))


def _output_faults(case: Audited, output: dict[str, Any]) -> Iterator[Fault]:
    """By what the output says: an equal run writes it again, and takes another time."""
    path, expected = case.project / output["path"], output["content_sha256"]
    try:
        found = content_of_output(path)
    except ValueError:
        found = "damaged"
    if found != expected or not path.exists():
        yield Fault(output["path"], str(expected or output["sha256"]), str(found or MISSING))


def _card(case: Audited) -> dict[str, Any]:
    """Of the registered model; empty where it cannot be read, which its own row names."""
    try:
        with registered_files(case.version) as folder:
            return dict(json.loads((folder / Path(MODEL) / "card.json").read_text()))
    except (WeightsError, OSError, ValueError):
        return {}
