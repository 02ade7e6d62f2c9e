"""Whether a model should be trained anew, and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from graft.adapters.conf import open_conf
from graft.adapters.ledger.chain import Entry
from graft.adapters.ledger.ledger import MADE_AGAIN, champions, decisions
from graft.adapters.lineage.reading import read_lineage
from graft.adapters.promotion.case import Case
from graft.adapters.promotion.evidence import called, split_of
from graft.adapters.registry import RegistryError, resolve
from graft.adapters.retraining.basis import (
    CHANGES,
    Basis,
    Reason,
    basis_now,
    reasons_between,
    recorded_basis,
)
from graft.vision.errors import DataError
from graft.vision.monitoring.retraining_options import RetrainingOptions
from graft.vision.records import digest_of

REFUSE = "refuse"


@dataclass(frozen=True)
class Found:
    """What a look at data, conf, code and calendar gave."""

    reasons: list[Reason] = field(default_factory=list)
    watched: Mapping[str, Any] | None = None
    """What is to be said of images that the champion does not know; None where there are none."""
    refused: str | None = None
    """The version that was made of all this, and that the rule refused."""
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

    said = dict(open_conf(case.project / "conf", case.name)["parameters"])
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
    refused = _refused_before(case, now)
    if refused is not None:
        return Found(refused=refused)
    watched = watch(case, champion, split, seen, options)
    changed = [*reasons_between(recorded_basis(read_lineage(champion, case.project)), now)]
    again = _followed_before(case, changed)
    if again is not None and again["action"] == REFUSE:
        return Found(refused=f"{case.model}/{again['version']}")
    reasons = [
        *(changed if again is None else ()),
        *_of_images(watched),
        *_of_age(case, champion, options.max_age_days),
    ]
    return Found(reasons, watched, made_again=again is not None)


def _refused_before(case: Case, now: Basis) -> str | None:
    """The version after the champion that was made by all this and refused: no need to repeat."""
    for entry in _since_the_move(case):
        if entry["action"] == REFUSE:
            try:
                version = resolve(f"{case.model}/{entry['version']}")
                made_by = recorded_basis(read_lineage(version, case.project))
            except (RegistryError, DataError):  # deleted since
                continue
            if not [*reasons_between(made_by, now)]:
                return called(version)
    return None


def _followed_before(case: Case, changed: Sequence[Reason]) -> Entry | None:
    """What came of a training for these very changes since the champion moved: it gave the
    champion again, or a version that was there already and was refused.

    Such a version's own record tells of the conf that it was first made by.
    """
    asked = digest_of([reason.record() for reason in changed])
    for entry in _since_the_move(case):
        if changed and entry["action"] in (REFUSE, MADE_AGAIN):
            said = entry["evidence"].get("retraining", {}).get("reasons", [])
            is_same = digest_of([each for each in said if each["reason"] in CHANGES]) == asked
            if is_same and _is_there(case, entry["version"]):
                return entry
    return None


def _is_there(case: Case, version: str) -> bool:
    try:
        resolve(f"{case.model}/{version}")
    except RegistryError:  # deleted since
        return False
    return True


def _since_the_move(case: Case) -> Iterator[Entry]:
    """The ledger's entries since the champion became it, the last first."""
    entries = case.ledger.entries
    moved = max((entry["index"] for entry in champions(entries)[-1:]), default=-1)
    yield from (entry for entry in reversed(entries) if entry["index"] > moved)


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
