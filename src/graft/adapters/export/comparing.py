"""A folder under check, and where its documents differ from those that its records give."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graft.adapters.export import STATEMENT
from graft.adapters.export.documents import documents_of, statement_text
from graft.adapters.export.parts import leaves
from graft.adapters.export.reading import Exported, writer
from graft.adapters.export.scores import Measured
from graft.adapters.lineage.audit.rows import MISSING, Fault, compared

FACTS = re.compile(r"\.(value|content|sha256|md5|gitCommit|gitTree)\b")
"""Fields that say the same in whatever words a graft writes the rest."""
OTHER_WORDS = "written by another graft: facts are compared, wording is not"


@dataclass(frozen=True)
class Checked:
    """A folder under check, and what is known of it from elsewhere."""

    folder: Path
    root: str | None = None
    """The root digest as the registry states it."""
    key: Path | None = None
    """The signer's key."""

    @cached_property
    def exported(self) -> Exported:
        """Its records."""
        return Exported(self.folder)

    @cached_property
    def measured(self) -> Measured:
        """Its scores, measured again."""
        return Measured(self.exported)

    @cached_property
    def again(self) -> dict[str, str]:
        """Its documents, made again of its records."""
        documents = documents_of(self.exported, self.measured)
        return {**documents, STATEMENT: statement_text(self.exported)}

    @property
    def note(self) -> str:
        """What cannot be asked of documents that another graft wrote."""
        return OTHER_WORDS if self._is_foreign else ""

    def text(self, name: str) -> str:
        """A file as it lies there."""
        return (self.folder / name).read_text()

    def faults(self, name: str) -> Iterator[Fault]:
        """Each field, or line, by which a document differs from the one that the records give."""
        expected, found = self.again[name], self.text(name)
        if expected == found:
            return
        faults = list(compared(_parts(name, expected), _parts(name, found)))
        if self._is_foreign:
            faults = [fault for fault in faults if _is_fact(fault)]
        elif not faults:
            faults = [Fault("its spacing", "as written", "changed")]
        for fault in faults:
            yield Fault(f"{name}: {fault.what}", fault.expected, fault.found)

    @cached_property
    def _is_foreign(self) -> bool:
        return bool(self.exported.version["exported"]["code_sha256"] != writer())


def _parts(name: str, text: str) -> dict[str, Any]:
    if name.endswith(".json"):
        return leaves(json.loads(text))
    return {f"line {number}": line for number, line in enumerate(text.splitlines(), 1)}


def _is_fact(fault: Fault) -> bool:
    return bool(FACTS.search(fault.what)) and MISSING not in (fault.expected, fault.found)
