"""The standing model that split and weights came from."""

from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.audit.case import Audited
from graft.adapters.lineage.audit.rows import MISSING, Fault, Row, judged, unrecorded
from graft.adapters.lineage.parents import NONE, PARENT, parent_of
from graft.adapters.registry import RegistryError, resolve


def check_parent(case: Audited) -> Row:
    """The parent is still registered, with the weights that were started from."""
    fact, said = "parent", parent_of(case.record)
    if case.record.get(PARENT) == UNKNOWN:
        return unrecorded(fact, "the fine-tuned contender left no card")
    if said is None:
        return judged(fact, NONE, [])
    name, expected = f"{said['name']}/{said['version']}", said["weights_sha256"]
    try:
        found = resolve(name).tags.get("weights_sha256", UNKNOWN)
    except RegistryError:
        found = MISSING
    faults = [] if found == expected else [Fault(f"weights_sha256 of {name}", expected, found)]
    return judged(fact, f"{name}, weights {expected}", faults, f"gave {said['gave']}")
