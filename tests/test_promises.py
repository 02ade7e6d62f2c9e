"""`docs/promises.md` names tests that are there."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs/promises.md").read_text()
PROMISED = {
    "A": range(1, 10),
    "B": range(1, 5),
    "C": range(1, 10),
    "D": range(1, 9),
    "E": range(1, 7),
    "F": (1, 3),
}


def test_promises__name_tests_that_are_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`( \*slow\*)?", TEXT)
    assert len(named) > 80
    for file, name, slow in named:
        found = next((f for f in ast.parse((ROOT / file).read_text()).body if _is(f, name)), None)
        assert found is not None, f"{file} has no {name}"
        if slow:
            assert "slow" in (ROOT / file).read_text()


def test_promises__are_all_there_with_a_test_and_a_result() -> None:
    rows = {
        cells[0]: cells
        for line in TEXT.splitlines()
        if re.match(r"\| [A-F]\d \|", line)
        for cells in [[cell.strip() for cell in line.strip("|").split(" | ")]]
    }
    assert set(rows) == {f"{part}{number}" for part in PROMISED for number in PROMISED[part]}
    assert all(len(cells) == 4 and "::" in cells[2] and cells[3] for cells in rows.values())


def _is(node: ast.stmt, name: str) -> bool:
    return isinstance(node, ast.FunctionDef) and node.name == name
