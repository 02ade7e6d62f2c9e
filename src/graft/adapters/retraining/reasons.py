"""Whether a model should be trained anew, and why."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from graft.adapters.conf import open_conf
from graft.adapters.ledger.chain import Entry
from graft.adapters.ledger.ledger import MADE_AGAIN, decisions
from graft.adapters.lineage.reading import read_lineage
from graft.adapters.promotion.case import Case
from graft.adapters.promotion.evidence import called, split_of
from graft.adapters.retraining.basis import Reason, basis_now, reasons_between, recorded_basis
from graft.adapters.retraining.refusals import (
    REFUSE,
    basis_of,
    followed_before,
    is_answer,
    is_of_the_model,
    refusals,
    refused_before,
)
from graft.vision.errors import DataError
from graft.vision.monitoring.retraining_options import RetrainingOptions
from graft.vision.records import digest_of


@dataclass(frozen=True)
class Found:
    """What a look at data, conf, code and calendar gave."""

    reasons: list[Reason] = field(default_factory=list)
    watched: Mapping[str, Any] | None = None
    """What is to be said of images that the champion does not know; None where there are none."""
    refused: Entry | None = None
    """The refusal of the version that was made of all this."""
    made_again: bool = False
    """Whether training gave the champion once more, for all that has changed since it was made."""

    @property
    def held(self) -> bool:
        """Whether a person must look at what is new."""
        return bool(self.watched and self.watched["intake"]["held"])

    @property
    def batch_sha256(self) -> str:
        """Digest of what is new, by which a batch is known again."""
        return digest_of((self.watched or {}).get("new", {}))


def look_for_reasons(case: Case, champion: Any) -> Found:
    """Compare what the champion was made by with what there is now.

    Raises:
        DataError: where the champion's record or its split cannot be had.
    """
    from graft.adapters.retraining.looking import look
    from graft.adapters.retraining.watching import watch

    said = _parameters(case)
    block = said[case.task_name]
    options = RetrainingOptions.parse(block["retraining"], f"{case.task_name}.retraining")
    split = split_of(case, champion)
    if split is None:
        raise DataError(
            f"the split that {called(champion)} was trained by is gone",
            found="no split_manifest.parquet on its run that its data_sha256 was taken over",
            mend="bring the artifact store back, or begin anew with kedro run and kedro model "
            "promote",
        )
    seen = look(case.project, case.raw, block, split)
    now = basis_now(case.project, case.task_name, said, seen.split_manifest)
    refused = refused_before(case, now)
    if refused is not None:
        return Found(refused=refused)
    watched = watch(case, champion, split, seen, options)
    changed = [*reasons_between(recorded_basis(read_lineage(champion, case.project)), now)]
    again = followed_before(case, changed)
    if again is not None and again["action"] == REFUSE:
        return Found(refused=again)
    reasons = [
        *(changed if again is None else ()),
        *_of_images(watched),
        *_of_age(case, champion, options.max_age_days),
    ]
    return Found(reasons, watched, made_again=again is not None)


def look_for_first(case: Case) -> Found:
    """Where no champion stands: reasons to train, unless the version that this would give was
    refused already, by itself and by the rule that conf states now.

    Raises:
        DataError, OptionsError: as the pipelines do.
    """
    none = Reason("no champion", f"{case.model} has no champion yet.", {})
    last = next(refusals(case), None)
    if last is None:  # before the first model nothing has to be read twice
        return Found([none])
    from graft.adapters.retraining.looking import look

    said = _parameters(case)
    seen = look(case.project, case.raw, said[case.task_name], None)
    now = basis_now(case.project, case.task_name, said, seen.split_manifest)
    made_by = basis_of(case, last)
    changed = [] if made_by is None else [*reasons_between(made_by, now)]
    refused = last if is_answer(last, changed) else refused_before(case, now)
    if refused is not None and is_of_the_model(refused):
        return Found(refused=refused)
    return Found([none, *changed])


def _parameters(case: Case) -> dict[str, Any]:
    return dict(open_conf(case.project / "conf", case.name)["parameters"])


def _of_images(watched: Mapping[str, Any] | None) -> Iterator[Reason]:
    if watched is None:
        return
    from graft.vision.monitoring.drift import DRIFTED
    from graft.vision.monitoring.fall import FALLEN

    for name in ("drift", "unlabelled_drift"):
        found = watched[name]
        if found and found["verdict"] == DRIFTED:
            said = [*found["sentences"], *(found["direction"] or {}).get("sentences", [])]
            yield Reason("drift", " ".join(said), {"p_value": found["p_value"]})
    fallen = watched["fallen"]
    if fallen and fallen["verdict"] == FALLEN:
        yield Reason("fallen score", " ".join(fallen["sentences"]), fallen)


def _of_age(case: Case, champion: Any, max_age_days: float | None) -> Iterator[Reason]:
    """Counted from the last judgement too: a refused challenger is not repeated every hour."""
    if max_age_days is None:
        return
    made = datetime.fromtimestamp(champion.creation_timestamp / 1000, UTC)
    entries = case.ledger.entries
    told = [*decisions(entries), *(e for e in entries if e["action"] == MADE_AGAIN)]
    judged = [datetime.fromisoformat(entry["time"]) for entry in told]
    age = datetime.now(UTC) - max([made, *judged])
    if age > timedelta(days=max_age_days):
        days = age / timedelta(days=1)
        said = f"{called(champion)} is {days:.1f} days old, and {max_age_days:g} are allowed."
        yield Reason("age", said, {"days": days, "max_age_days": max_age_days})
