"""Which modules of graft stand behind a module: what must go with it where graft is not."""

import ast
from collections.abc import Iterator
from pathlib import Path

from graft.vision.records import digest_of, digest_of_file

SOURCE = Path(__file__).resolve().parents[2]


def modules_behind(*names: str) -> dict[str, Path]:
    """These modules and all that they import of graft, also inside functions, with their files.

    Read from the source, so nothing is imported. Modules that are named in strings only, such as
    the rows of a table, must be among ``names``.
    """
    found: dict[str, Path] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        file = _file_of(name)
        if file is not None and name not in found:
            found[name] = file
            waiting += [name.rpartition(".")[0], *imported_names(file)]
    return dict(sorted(found.items()))


def code_digest(*names: str) -> str:
    """SHA-256 over the source of these modules and of all that stands behind them."""
    behind = modules_behind(*names)
    return digest_of({name: digest_of_file(file) for name, file in behind.items()})


def imported_names(file: Path) -> Iterator[str]:
    """Every dotted name that a source file imports; of ``from a import b`` both a and a.b."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _file_of(name: str) -> Path | None:
    if name.partition(".")[0] != "graft":
        return None
    path = SOURCE.joinpath(*name.split("."))
    files = (path.with_suffix(".py"), path / "__init__.py")
    return next((file for file in files if file.is_file()), None)
