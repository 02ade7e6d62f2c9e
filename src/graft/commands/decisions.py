"""How decisions on models read: the rule line by line, what held and what did not."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

REFUSED = 3
"""Exit code of what a rule refuses; faults are 1."""


def show(record: Mapping[str, Any], lines: Sequence[str], *, as_json: bool, held: bool) -> None:
    """Print a record as JSON or as these lines, and end with the exit code that goes with it."""
    text = json.dumps(record, indent=2, ensure_ascii=False, default=str)
    click.echo(text if as_json else "\n".join(lines))
    if not held:
        sys.exit(REFUSED)


def check_lines(record: Mapping[str, Any]) -> list[str]:
    """One line per part of the rule; what failed is marked."""
    checks = record["checks"]
    width = max((len(check["rule"]) for check in checks), default=0)
    return [
        f"  {'ok ' if check['held'] else 'NO '} {check['rule']:<{width}}  {check['said']}"
        for check in checks
    ]


def score_lines(record: Mapping[str, Any], one: str, other: str) -> list[str]:
    """The primary score and that of each class, side by side."""
    scores, classes = record.get("scores"), record.get("classes") or {}
    if not scores:
        return []
    table = {record["primary"]: scores, **{f"  {name}": said for name, said in classes.items()}}
    width = max(map(len, table))
    columns = [("challenger", one), ("champion", other)]
    shown = [(key, f"version {name.rpartition('/')[2]}") for key, name in columns if key in scores]
    head = " " * width + "".join(f"  {name:>18}" for _, name in shown)
    rows = [
        f"{name:<{width}}" + "".join(f"  {_number(said.get(key)):>18}" for key, _ in shown)
        for name, said in table.items()
    ]
    return [head, *rows]


def gain_line(record: Mapping[str, Any]) -> list[str]:
    """The difference with its interval."""
    found = record.get("difference")
    if not found or isinstance(found["low"], str):
        return []
    return [
        f"difference {found['value']:+.4f}, interval {found['low']:+.4f} to {found['high']:+.4f}, "
        f"p = {found['p_value']:.3g}"
    ]


def entry_line(record: Mapping[str, Any]) -> list[str]:
    """Where the ledger holds it."""
    entry = record.get("entry")
    return [f"ledger entry {entry['index']}, {entry['sha256'][:12]}..."] if entry else []


def _number(value: object) -> str:
    return f"{value:.4f}" if isinstance(value, float | int) else str(value or "-")
