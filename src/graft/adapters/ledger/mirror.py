"""The ledger as an auditor meets it in MLflow: a run that holds it, tags on model and version."""

from typing import Any

from graft.adapters.ledger.chain import LedgerError
from graft.adapters.ledger.ledger import Ledger, champions, decisions
from graft.adapters.registry import RegistryError

RUN = "promotions"
MODEL = "graft.model"
LENGTH, HEAD = "ledger.entries", "ledger.head_sha256"


def mirror(ledger: Ledger, experiment: str) -> None:
    """Bring MLflow to what the ledger says; what already agrees is left alone."""
    from mlflow import MlflowClient

    entries, client = ledger.entries, MlflowClient()
    if not entries:
        return
    run_id = _run(client, experiment, ledger.model)
    head = {LENGTH: str(len(entries)), HEAD: entries[-1]["sha256"]}
    tags = client.get_run(run_id).data.tags
    if all(tags.get(name) == value for name, value in head.items()):
        return
    client.log_artifact(run_id, str(ledger.path))
    standing = champions(entries)
    head["champion"] = standing[-1]["version"] if standing else "none"
    for entry in decisions(entries)[-1:]:
        _tag_version(client, entry)
    for name, value in head.items():  # the run's last: only then does all of it agree
        client.set_registered_model_tag(ledger.model, name, value)
    for name, value in head.items():
        client.set_tag(run_id, name, value)


def check_mirror(ledger: Ledger) -> None:
    """Raise `LedgerError` where MLflow has seen a ledger that this one is no successor of.

    A chain tells of changed lines; of lines cut off its end only a witness can tell.
    """
    known = [entry["sha256"] for entry in ledger.entries]
    head = _head_seen(ledger.model, is_known=bool(known))
    if head is not None and head not in known:
        raise LedgerError(
            f"the ledger {ledger.path.name} is not the one that MLflow has seen",
            found=f"{len(known)} entries, none with SHA-256 {head[:12]}...",
            allowed="that entry, and others after it",
            mend=f"bring {ledger.path} back from the artifacts of the run '{RUN}' in MLflow",
        )


def _head_seen(model: str, is_known: bool) -> str | None:
    """By one tag of the model, since a process may die between the two; None where MLflow has not
    seen it, which is an error of a model that is known."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        head: str | None = MlflowClient().get_registered_model(model).tags.get(HEAD)
    except MlflowException as error:
        if is_known or error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    return head


def _run(client: Any, experiment: str, model: str) -> str:
    found = client.get_experiment_by_name(experiment)
    if found is None:
        raise RegistryError(
            f"MLflow's store has no experiment {experiment!r}, where the ledger is shown",
            mend="bring the store back and run again; the ledger itself is whole",
        )
    wanted = f"tags.`{MODEL}` = '{model}' and attributes.run_name = '{RUN}'"
    runs = client.search_runs([found.experiment_id], wanted, order_by=["attributes.start_time"])
    if runs:
        return str(runs[0].info.run_id)
    run = client.create_run(found.experiment_id, run_name=RUN, tags={MODEL: model})
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def _tag_version(client: Any, entry: dict[str, Any]) -> None:
    from mlflow.exceptions import MlflowException

    said = {
        "promotion.action": entry["action"],
        "promotion.state": entry["state"],
        "promotion.time": entry["time"],
        "promotion.actor": entry["actor"],
        "promotion.reason": entry["reason"][:4000],
        "promotion.replaced": str(entry["replaced"]),
        "promotion.ledger_sha256": entry["sha256"],
    }
    try:
        for name, value in said.items():
            client.set_model_version_tag(entry["model"], entry["version"], name, value)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # deleted since: the ledger still says
            raise
