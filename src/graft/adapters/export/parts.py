"""The parts of a file by name, so that a change is named by field and not by file alone."""

import io
import json
from collections.abc import Iterator
from typing import Any

from graft.vision.records import digest_text

SHORT = 12
"""Digits of a part's digest: it only has to tell where a file changed, which its own tells."""
ROWS_MAX = 100_000
"""Of a larger table only columns are named: a manifest should be smaller than what it lists."""
KEYS = ("bom-ref", "name", "id", "point", "path")
"""What names an entry of a list, where every entry has one of its own."""


def leaves(value: Any, prefix: str = "") -> dict[str, Any]:
    """Each value of a nested record by its full name, ``components[torch].hashes[0].content``."""
    return dict(_leaves(value, prefix))


def parts_of(name: str, data: bytes) -> dict[str, str]:
    """Short digest of each part: fields of JSON, rows and columns of tables, lines of text.

    Empty where a file has no parts, as of weights, and where it cannot be read.
    """
    try:
        if name.endswith(".json"):
            found = leaves(json.loads(data))
        elif name.endswith(".jsonl"):
            found = leaves([json.loads(line) for line in data.splitlines()], "line ")
        elif name.endswith(".parquet"):
            found = _of_table(data)
        else:
            lines = enumerate(data.decode().splitlines(), 1)
            found = {f"line {number}": text for number, text in lines}
    except (ValueError, OSError):  # damaged, or bytes that are no text
        return {}
    return {part: digest_text(_text(value))[:SHORT] for part, value in found.items()}


def _leaves(value: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{prefix}.{key}" if prefix else str(key))
    elif isinstance(value, list) and value:
        for label, inner in zip(_labels(value), value, strict=True):
            yield from _leaves(inner, f"{prefix}[{label}]")
    else:
        yield prefix, value


def _labels(entries: list[Any]) -> list[str]:
    for key in KEYS:
        named = [str(entry.get(key, "")) if isinstance(entry, dict) else "" for entry in entries]
        if all(named) and len(set(named)) == len(named):
            return named
    return [str(number) for number in range(len(entries))]


def _of_table(data: bytes) -> dict[str, Any]:
    import pandas as pd

    table = pd.read_parquet(io.BytesIO(data)).astype(str)
    columns = {f"column {name}": list(table[name]) for name in table.columns}
    if len(table) > ROWS_MAX:
        return columns
    names = table["id"] if "id" in table and table["id"].is_unique else table.index
    rows = {f"row {n}": list(r) for n, r in zip(names, table.to_numpy(object), strict=True)}
    return {**columns, **rows}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
