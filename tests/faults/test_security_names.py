"""A case of hostile names walks the whole road: no name is ever more than text."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from hostile_names import CASE, FILES, NAMES, RAW, SOURCES, lay_hostile_project
from looked_at_pages import Page, looked_at

from graft.adapters.datasets.artifact import FORMULA, ArtifactDataset
from graft.adapters.export.markdown import cell, inert
from graft.vision.evaluation.report.page import visible

REPORTS = Path("data/08_reporting") / CASE
EXPORT = "exported"
TAGS = (
    "html head meta title style body main h1 h2 h3 p b i div span br table tr th td dl dt dd ul li"
)
MORE_TAGS = "details summary figure figcaption img svg g rect line circle text path polyline"
TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both tasks from raw data to a registered model, and the export of one."""
    project = lay_hostile_project(tmp_path_factory.mktemp("hostile") / "project")
    run(project, "run", "--env", CASE)
    run(project, "model", "export", f"{CASE}-classification/1", "--out", EXPORT)
    return project


def run(project: Path, *arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("kedro")), *arguments]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]


def made(project: Path, pattern: str) -> list[Path]:
    """Files that runs have made."""
    beside = (project / "src", project / RAW)
    return [p for p in project.rglob(pattern) if not any(p.is_relative_to(b) for b in beside)]


def test_names__run_nothing_and_name_no_path(project: Path) -> None:
    assert not list(project.rglob("pwned"))
    plain = re.compile(r"[\w.=+@,-]+")
    assert [path for path in made(project, "*") if not plain.fullmatch(path.name)] == []
    endings = {path.suffix for path in (project / RAW).rglob("*") if path.is_file()}
    assert endings == {".png", ".parquet", ".json"}  # nothing was written among the raw data


def test_names__come_through_whole(project: Path) -> None:
    for task in SOURCES:
        table = project / "data/03_primary" / CASE / task / "class_table.json"
        assert json.loads(table.read_text())["names"] == sorted(NAMES)
    (said,) = (pd.read_parquet(p) for p in made(project, "test_predictions.parquet")
               if p.parts[-3:-1] == (CASE, "classification"))  # fmt: skip
    assert set(said["prediction"]) <= set(NAMES) == set(said["truth"])
    split = project / "data/03_primary" / CASE / "classification/split_manifest.parquet"
    assert {Path(name).name for name in pd.read_parquet(split)["id"]} >= set(FILES[:-1])


# --- pages ---------------------------------------------------------------------------------------


def pages(project: Path) -> list[str]:
    found = made(project, "*.html")
    assert len(found) >= 4, found  # of both tasks, and where MLflow keeps them
    return [path.read_text() for path in found]


def test_names__are_text_in_every_page(project: Path) -> None:
    for text in pages(project):
        page = Page(text)
        assert page.tags <= {*TAGS.split(" "), *MORE_TAGS.split(" ")}
        assert not [name for name, _ in page.attributes if name.startswith("on")]
        loaded = [v for n, v in page.attributes if n in ("src", "href", "srcset", "xlink:href")]
        assert loaded and all(value.startswith("data:image/") for value in loaded)
        shown = " ".join(page.text.split())
        assert [name for name in NAMES if " ".join(visible(name).split()) not in shown] == []
        assert not TURNING.search(text)
        assert "What was refused, and what to do" in shown
    assert any("Truths to look at" in text for text in pages(project))


def test_page__states_a_strict_policy(project: Path) -> None:
    for text in pages(project):
        assert Page(text).policy == {
            "default-src": "'none'", "img-src": "data:", "style-src": "'unsafe-inline'",
            "base-uri": "'none'", "form-action": "'none'",
        }  # fmt: skip


def test_page__asks_a_browser_for_nothing_and_breaks_no_rule(project: Path) -> None:
    for task in SOURCES:
        asked, complaints, page = looked_at((project / REPORTS / task / "report.html").read_bytes())
        assert asked == ["/page.html"] and complaints == []
        assert "<script" not in page


def test_policy__would_stop_what_the_page_does_not_hold(project: Path) -> None:
    """So that a browser which complains of nothing is one that would."""
    page = (project / REPORTS / "classification/report.html").read_text()
    plant = "<main><script>document.title='run'</script><img src='/x.png' onerror='alert(1)'>"
    assert page.count("<main>") == 1
    asked, complaints, found = looked_at(page.replace("<main>", plant).encode())
    assert asked == ["/page.html"] and "<title>run</title>" not in found
    assert sum("Content Security Policy" in line for line in complaints) >= 3


# --- tables and documents ------------------------------------------------------------------------


def test_names__are_no_formula_in_any_table(project: Path) -> None:
    tables = made(project, "*.csv")
    assert len(tables) >= 6
    for path in tables:
        with path.open(newline="") as file:
            cells = [cell for row in csv.reader(file) for cell in row]
        assert [c for c in cells if c.startswith(FORMULA[:-1]) and not _is_number(c)] == []
    report = ArtifactDataset(str(project / REPORTS / "classification/quarantine.csv")).load()
    assert f"../{FILES[0]}" in set(report["file"])


def _is_number(text: str) -> bool:
    return re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text) is not None


def test_table__of_texts_comes_back_as_it_was(tmp_path: Path) -> None:
    names = [*NAMES, *FILES, "'", "'=1", "=1", "", "plain", "\tx", "-1"]
    table = pd.DataFrame({"file": names, "row": names})
    dataset = ArtifactDataset(str(tmp_path / "t.csv"))
    dataset.save(table)
    pd.testing.assert_frame_equal(dataset.load(), table)
    written = (tmp_path / "t.csv").read_text()
    assert "'=cmd()" in written and "\n=cmd()" not in written


def test_names__are_text_in_the_documents_of_an_export(project: Path) -> None:
    for name in ("model_card.md", "annex_iv.md"):
        body = (project / EXPORT / name).read_text().split("---\n\n")[-1]
        assert "<" not in body and not TURNING.search(body)
        assert inert(NAMES[0]) in body
        tables = re.findall(r"(?:^\|.*\n)+", body, re.M)
        assert tables
        for table in tables:
            assert len({_cells(row) for row in table.splitlines()}) == 1, table
    documents = [json.loads(path.read_text()) for path in (project / EXPORT).glob("*.json")]
    assert len(documents) >= 3


def _cells(row: str) -> int:
    """Of a row of Markdown, in which a backslash stands before what is no end of a cell."""
    return re.sub(r"\\.", "", row).count("|")


@pytest.mark.parametrize("name", NAMES)
def test_cell__of_markdown_holds_a_name_as_text(name: str) -> None:
    found = cell(name)
    assert "<" not in found and "\n" not in found and not TURNING.search(found)
    assert _cells(found) == 0
