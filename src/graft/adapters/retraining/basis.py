"""What a model was made by, beside what one would be made by now: data, conf, code, lock."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graft.adapters.layers import LOCK
from graft.adapters.lineage import UNKNOWN
from graft.adapters.lineage.audit.rows import compared, flat
from graft.adapters.lineage.outputs import making_code
from graft.vision.records import data_digest

CHANGES = ("data", "conf", "code", "environment")
"""The reasons of `reasons_between`."""
NAMED = 3
"""Settings named in a sentence; the facts hold all."""


@dataclass(frozen=True)
class Reason:
    """Why a model is trained anew: ``reason`` is one word for programs, ``sentence`` for people."""

    reason: str
    sentence: str
    facts: Mapping[str, Any]

    def record(self) -> dict[str, Any]:
        """As a plain mapping."""
        return {"reason": self.reason, "sentence": self.sentence, "facts": dict(self.facts)}


@dataclass(frozen=True)
class Basis:
    """Everything that decides which model training gives; equal bases give no other model."""

    data: str
    parameters: Mapping[str, Any]
    """Flat, of all stages."""
    code: str
    lock: str


def recorded_basis(record: Mapping[str, Any]) -> Basis:
    """That of a registered version, by its lineage record."""
    images, said = record["images"], record["configuration"]
    return Basis(
        data=UNKNOWN if images == UNKNOWN else images["data_sha256"],
        parameters={} if said == UNKNOWN else flat("", said["parameters"]),
        code=record.get("making_sha256", UNKNOWN),
        lock=record["lock"]["sha256"],
    )


def basis_now(
    project: Path, task: str, parameters: Mapping[str, Any], split_manifest: Any
) -> Basis:
    """That of a training that would begin now.

    Args:
        parameters: all that conf says.
    """
    lock = project / LOCK
    locked = hashlib.sha256(lock.read_bytes()).hexdigest() if lock.is_file() else UNKNOWN
    return Basis(data_digest(split_manifest), flat("", dict(parameters)), making_code(task), locked)


def reasons_between(before: Basis, now: Basis) -> Iterator[Reason]:
    """What has changed since, each as a reason to train anew."""
    if before.data != now.data:
        facts = {"before": before.data, "now": now.data}
        yield Reason("data", "The images or their truths are another version.", facts)
    yield from _settings(before.parameters, now.parameters)
    if before.code != now.code:
        facts = {"before": before.code, "now": now.code}
        yield Reason("code", "The code that makes models has changed.", facts)
    if before.lock != now.lock:
        facts = {"before": before.lock, "now": now.lock}
        yield Reason("environment", "requirements.lock has changed.", facts)


def _settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Reason]:
    # Only what stages read was recorded: blocks that watch or promote make no other model.
    read = {_block(name) for name in before}
    kept = {name: value for name, value in now.items() if _block(name) in read}
    facts = {
        fault.what: {"before": fault.expected, "now": fault.found}
        for fault in compared(before, kept)
    }
    if facts:
        shown = [f"{n}: {f['before']} is now {f['now']}" for n, f in [*facts.items()][:NAMED]]
        more = f"; and {len(facts) - NAMED} more" if len(facts) > NAMED else ""
        yield Reason("conf", f"Conf has changed: {'; '.join(shown)}{more}.", facts)


def _block(name: str) -> str:
    return ".".join(name.split(".")[:2])
