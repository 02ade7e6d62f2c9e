"""What an audit says of one fact: whether it holds, and by name what does not."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from graft.adapters.lineage import UNKNOWN

HOLDS, DIFFERS, UNRECORDED = "holds", "differs", UNKNOWN
MISSING = "missing"


@dataclass(frozen=True)
class Fault:
    """One thing that is not as recorded."""

    what: str
    """A file, an image, a parameter, a field of the record."""
    expected: str
    found: str


@dataclass(frozen=True)
class Row:
    """One fact: ``status`` is holds, differs or unknown."""

    fact: str
    status: str
    recorded: str
    note: str = ""
    faults: list[Fault] = field(default_factory=list)

    def record(self) -> dict[str, Any]:
        """As a plain mapping."""
        return asdict(self)


def judged(fact: str, recorded: object, faults: Iterable[Fault], note: str = "") -> Row:
    """The row of a fact that was recorded: it differs when there is a fault.

    A fault that expects what nobody recorded makes the fact unknown.
    """
    named = list(faults)
    open_ends = named and all(fault.expected == UNKNOWN for fault in named)
    status = UNRECORDED if open_ends else DIFFERS if named else HOLDS
    return Row(fact, status, str(recorded), note, named)


def unrecorded(fact: str, note: str = "") -> Row:
    """The row of a fact that was not recorded, or of which nothing is there to compare with."""
    return Row(fact, UNRECORDED, UNKNOWN, note)


def compared(expected: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[Fault]:
    """Each name under which two mappings differ."""
    for name in sorted({*expected, *found}):
        one, other = expected.get(name, MISSING), found.get(name, MISSING)
        if one != other:
            yield Fault(name, str(one), str(other))


def flat(prefix: str, value: Any) -> dict[str, Any]:
    """Nested settings by their full name, ``classification.fine_tuning.epochs``."""
    if not isinstance(value, dict):
        return {prefix: value}
    parts = (flat(f"{prefix}.{key}" if prefix else str(key), inner) for key, inner in value.items())
    return {name: inner for part in parts for name, inner in part.items()}
