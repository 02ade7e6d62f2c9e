"""Facts that are taken from an exported folder's files; None where they were not recorded."""

from typing import Any

from graft.adapters.export.packages import pinned_packages
from graft.adapters.export.reading import Exported
from graft.adapters.export.scores import Measured
from graft.adapters.ledger import ledger
from graft.adapters.ledger.chain import Entry
from graft.vision.data.splits import classes_of
from graft.vision.records import digest_of


def own_entries(exported: Exported) -> list[Entry]:
    """What was decided on this version and done."""
    number = exported.version["version"]
    made = ledger.decisions(exported.entries)
    return [entry for entry in made if entry["version"] == number and entry["state"] == ledger.DONE]


def replaced(exported: Exported, _: Measured) -> str:
    """In whose place it was put, as far as the ledger tells."""
    moves = [entry for entry in own_entries(exported) if entry["action"] in ledger.MOVES]
    if not moves:
        return "nothing: it was not promoted"
    before = moves[-1]["replaced"]
    return f"version {before}" if before else "nothing: no champion stood"


def decisions(exported: Exported, _: Measured) -> list[str]:
    """A line for each decision on this version."""
    own = own_entries(exported)
    said = [f"{each['time']} {each['action']} by {each['actor']}: {each['reason']}" for each in own]
    return said or ["neither promoted nor refused"]


def decided(exported: Exported, _: Measured) -> dict[str, Any] | None:
    """The last decision that rests on tests, dated and sealed."""
    own = [entry for entry in own_entries(exported) if entry["evidence"].get("scores")]
    if not own:
        return None
    return {name: own[-1][name] for name in ("time", "actor", "action", "reason", "sha256")}


def packages(exported: Exported, _: Measured) -> int | None:
    """How many packages the lock pins."""
    return None if exported.lock is None else len(pinned_packages(exported.lock))


def steps(exported: Exported, _: Measured) -> dict[str, str]:
    """The run that made most of each stage."""
    return {stage["stage"]: str(stage["run_id"]) for stage in exported.known("stages")}


def training(exported: Exported, _: Measured) -> dict[str, Any]:
    """Strategy and options, as trained."""
    options = exported.card["facts"].get("options", {})
    return {"strategy": exported.card["strategy"], **options}


def architecture(exported: Exported, _: Measured) -> dict[str, Any]:
    """Backbone and head."""
    options = exported.card["task_options"]
    return {"backbone": exported.card["backbone"]["architecture"], "head": options}


def classes(exported: Exported, _: Measured) -> dict[str, dict[str, int]] | None:
    """Images of each class by split, counted in the table of images."""
    table = exported.images_table
    if table is None:
        return None
    found: dict[str, dict[str, int]] = {}
    for split, truth in zip(table["split"], table["truth"], strict=True):
        for name in sorted({*classes_of(truth)}):
            by_split = found.setdefault(name, {})
            by_split[split] = by_split.get(split, 0) + 1
    return {name: dict(sorted(by_split.items())) for name, by_split in sorted(found.items())}


def slices(exported: Exported, measured: Measured) -> Any:
    """The deciding score of each slice that the rule of promotion names."""
    return measured.by_slice or "no slice was named by a rule of promotion"


def cleaning(exported: Exported, _: Measured) -> dict[str, Any] | None:
    """What was refused and what was found in the images."""
    report = exported.json("quality_report.json")
    names = ("quarantined", "quarantine_reasons", "exact_copies", "near_copies", "leaking_images")
    if report is None:
        return None
    return {**{name: report.get(name) for name in names}, "findings": report.get("findings", [])}


def scores(exported: Exported, measured: Measured) -> Any:
    """As recorded; that they come out again is a check of its own, to the digits that may differ
    between machines."""
    said = exported.known("metrics")
    return said["scores"] if isinstance(said, dict) and measured.scores is not None else None


def primary(exported: Exported, measured: Measured) -> Any:
    """Name and value of the score that decides."""
    said = scores(exported, measured)
    return said and {measured.primary: said[measured.primary]}


def weakest(exported: Exported, measured: Measured) -> dict[str, Any] | None:
    """The class whose score is least."""
    column = measured.class_metric
    rows = [row for row in measured.by_class if row[column] is not None]
    return min(rows, key=lambda row: row[column], default=None)


def test_set(exported: Exported, _: Measured) -> Any:
    """The digest that the scores are bound to."""
    return exported.images and exported.images["sha256_by_split"].get("test")


def verdict(exported: Exported, _: Measured) -> Any:
    """Its sentences."""
    said = exported.json("verdict.json")
    return said and said["sentences"]


def overfitting(exported: Exported, _: Measured) -> Any:
    """The notes of the training; a training without any says so."""
    found = exported.card["facts"].get("overfitting")
    return found if found is None else found or "none found"


def bytes_(exported: Exported, _: Measured) -> str:
    """One digest over every registered file."""
    return digest_of(exported.registered)
