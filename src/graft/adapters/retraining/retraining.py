"""`kedro retrain`: a reason to train anew, a look at what is new, a training, and the gate."""

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.adapters.layers import last_registered
from graft.adapters.ledger.chain import Entry
from graft.adapters.ledger.ledger import HOLD_BATCH, MADE_AGAIN
from graft.adapters.promotion.case import Case, open_case
from graft.adapters.promotion.evidence import called
from graft.adapters.promotion.moving import note, settle
from graft.adapters.promotion.outcomes import REFUSED, STANDS_ALREADY, SUPERSEDED
from graft.adapters.registry import resolve
from graft.adapters.retraining.basis import Reason
from graft.adapters.retraining.reasons import Found, look_for_first, look_for_reasons
from graft.adapters.retraining.turn import Turn, TurnTakenError, turn_to_retrain

log = logging.getLogger("graft")
STANDS, HELD, LABELS_NEEDED = "stands", "held", "labels_needed"
WITHOUT_LABELS = {"drift"}
"""Reasons that alone give training nothing new to learn from."""
NOTHING: dict[str, Any] = {
    "outcome": STANDS, "sentence": "", "reasons": [], "champion": None, "challenger": None,
    "watched": None, "decision": None, "entry": None,
}  # fmt: skip


@dataclass(frozen=True)
class Call:
    """What a scheduler asked for."""

    project: Path
    case: str
    task: str
    accepted: str | None = None
    """Why a batch that would be held is taken in nonetheless; recorded."""

    @property
    def model(self) -> str:
        """Name of the registered model."""
        return f"{self.case}-{self.task}"


def retrain(call: Call) -> dict[str, Any]:
    """Train anew where there is a reason, and put the result to the rule.

    Returns:
        ``case``, ``task``, ``model``, ``outcome`` (stands, promoted, refused, held, superseded,
        labels_needed), ``sentence``, ``reasons``, ``champion`` and ``challenger`` (NAME/version or
        null), ``watched``, ``decision`` and ``entry`` of the ledger where there are some,
        ``seconds``.

    Raises:
        GraftError: for what a person must mend; what is finished by then is kept.
    """
    started = time.perf_counter()
    try:
        case = open_case(call.project, call.model)
        with turn_to_retrain(call.project, call.model) as turn:
            found = _retrain(call, case, turn)
    except TurnTakenError as error:
        found = {"outcome": SUPERSEDED, "sentence": str(error)}
    told = {"case": call.case, "task": call.task, "model": call.model, **NOTHING, **found}
    return {**told, "seconds": round(time.perf_counter() - started, 1)}


def _retrain(call: Call, case: Case, turn: Turn) -> dict[str, Any]:
    number = settle(case)
    if number is None:
        first = look_for_first(case)
        if first.refused:
            return _still_refused(call.model, first.refused)
        return _train(call, case, turn, None, first.reasons)
    champion = resolve(f"{call.model}/{number}")
    found = look_for_reasons(case, champion)
    told = {
        "champion": called(champion),
        "reasons": [reason.record() for reason in found.reasons],
        "watched": found.watched,
    }
    if found.held and call.accepted is None:
        return {**told, **_hold(case, number, found)}
    if not found.reasons:
        return {**told, "sentence": _stands(called(champion), found)}
    if {reason.reason for reason in found.reasons} <= WITHOUT_LABELS:
        said = "The images have drifted, and there are no new labels to learn from: add some."
        return {**told, "outcome": LABELS_NEEDED, "sentence": said}
    return {**told, **_train(call, case, turn, champion, found.reasons)}


def _stands(champion: str, found: Found) -> str:
    if found.refused:
        refused = f"{found.refused['model']}/{found.refused['version']}"
        return f"{refused} was made of all this and refused: {champion} stands."
    if found.made_again:
        return f"What has changed since {champion} was made gave it once more: it stands."
    return f"Nothing has changed since {champion} was made: it stands."


def _still_refused(model: str, refusal: Entry) -> dict[str, Any]:
    """No second training and no second entry; the code stays that of the refusal."""
    version = f"{model}/{refusal['version']}"
    said = f"{version} was made of all this and refused ({refusal['reason']}): no champion stands."
    return {"outcome": REFUSED, "sentence": said, "challenger": version, "entry": refusal}


def _hold(case: Case, champion: str, found: Found) -> dict[str, Any]:
    """Tell the ledger once per batch; the champion is not touched."""
    intake, batch = dict(found.watched or {})["intake"], found.batch_sha256
    sentence = " ".join(intake["sentences"])
    known = [
        entry
        for entry in case.ledger.entries
        if entry["action"] == HOLD_BATCH and entry["evidence"].get("batch_sha256") == batch
    ]
    evidence = {"batch_sha256": batch, "intake": intake["reasons"]}
    entry = known[-1] if known else None
    if entry is None:
        entry = note(case, HOLD_BATCH, champion, reason=sentence, evidence=evidence)
    return {"outcome": HELD, "sentence": sentence, "entry": entry}


def _train(
    call: Call, case: Case, turn: Turn, champion: Any, reasons: Sequence[Reason]
) -> dict[str, Any]:
    """From the champion's weights, through the whole road, to the rule."""
    from graft.adapters.promotion.promoting import promote

    for reason in reasons:
        log.info("reason to train anew: %s", reason.sentence)
    challenger = _run(call, champion and called(champion))
    turn.check()
    why: dict[str, Any] = {"reasons": [reason.record() for reason in reasons]}
    if call.accepted is not None:
        why["accepted"] = call.accepted
    decision = promote(case, challenger, why=why)
    outcome, entry = decision["outcome"], decision["entry"]
    told = {"outcome": outcome, "challenger": challenger, "decision": decision, "entry": entry}
    if outcome == STANDS_ALREADY:
        said, version = f"Training gave {challenger} again.", challenger.rpartition("/")[2]
        entry = note(case, MADE_AGAIN, version, reason=said, evidence={"retraining": why})
        told |= {"outcome": STANDS, "sentence": said, "entry": entry}
    else:
        told["sentence"] = f"{challenger} was trained anew: {outcome}."
    return {**told, "reasons": why["reasons"]}


def _run(call: Call, parent: str | None) -> str:
    """The whole road of the task; returns what it registered, as NAME/version."""
    from kedro.framework.session import KedroSession

    asked = {"parent": parent} if parent else {}
    with KedroSession.create(call.project, env=call.case, runtime_params=asked) as session:
        session.run(namespaces=[call.task])
    version = last_registered(call.project, call.case, call.task)["version"]
    return f"{call.model}/{version}"
