"""A fact of the technical documentation: its value, how it is known, and where it stands."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from graft.adapters.export import DECLARED, LINEAGE
from graft.adapters.export.reading import Exported
from graft.adapters.export.scores import Measured
from graft.adapters.lineage import RECORD, UNKNOWN

MEASURED, STATED = "measured", "declared"
STATUSES = (MEASURED, STATED, UNKNOWN)


@dataclass(frozen=True)
class Fact:
    """``status``: measured (a check takes it again from the folder), declared (a person stated
    it), or unknown; ``source``: the file and field."""

    value: Any
    status: str
    source: str

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


NOT_RECORDED = Fact(UNKNOWN, UNKNOWN, "neither recorded nor declared")
Find = Callable[[Exported, Measured], Fact]


def declared(name: str) -> Find:
    """What conf declares under this name."""
    source = f"{LINEAGE}/{DECLARED}: {name}"

    def find(exported: Exported, _: Measured) -> Fact:
        said = (exported.declared.get(name) or "").strip()
        return Fact(said, STATED, source) if said not in ("", UNKNOWN) else NOT_RECORDED

    return find


def recorded(path: str, status: str = MEASURED) -> Find:
    """A value of the lineage record; ``status`` declared for what people state of weights."""
    source = f"{LINEAGE}/{RECORD}: {path}"

    def find(exported: Exported, _: Measured) -> Fact:
        value = exported.known(path)
        return NOT_RECORDED if _is_unknown(value) else Fact(value, status, source)

    return find


def taken(source: str, take: Callable[[Exported, Measured], Any]) -> Find:
    """A value that is computed from the folder's files."""

    def find(exported: Exported, measured: Measured) -> Fact:
        value = take(exported, measured)
        return NOT_RECORDED if _is_unknown(value) else Fact(value, MEASURED, source)

    return find


def _is_unknown(value: Any) -> bool:
    return value is None or value == UNKNOWN or (isinstance(value, str | list | dict) and not value)
