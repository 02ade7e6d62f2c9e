"""Nothing new that writes goes without a fault test."""

import ast
import inspect
from collections.abc import Iterable
from pathlib import Path

import pytest
import yaml
from kedro.io import AbstractDataset
from kedro.pipeline import Node, Pipeline
from site_scan import write_sites
from write_sites import DATASETS, NODES, SCRATCH, SITES
from writers import WRITERS

import graft.adapters.datasets
from graft.adapters.datasets.artifact import FORMATS
from graft.pipeline_registry import register_pipelines

TESTS = Path(__file__).resolve().parents[1]
CATALOG = TESTS.parent / "conf/base/catalog"


def untested_sites(*sources: Path) -> set[str]:
    """Functions that change files, and that the table does not name."""
    found = {site for source in sources for site in write_sites(source)}
    return found - set(SITES) - set(SCRATCH)


def untested_types(catalog: Path) -> set[str]:
    """Types of datasets that a catalog names and the table does not."""
    entries = [yaml.safe_load(file.read_text()) for file in sorted(catalog.glob("*.yml"))]
    return {entry["type"] for file in entries for entry in file.values()} - set(DATASETS)


def untested_nodes(pipelines: Iterable[Pipeline]) -> set[str]:
    """Nodes that pipelines have and the table does not name."""
    return {node.short_name for pipeline in pipelines for node in pipeline.nodes} - set(NODES)


def test_each_write_site__has_a_fault_test() -> None:
    assert not untested_sites(TESTS.parent / "src"), "inject faults into these, then list them"
    gone = (set(SITES) | set(SCRATCH)) - set(write_sites())
    assert not gone, "these write no more"


def test_each_dataset_type__has_a_fault_test() -> None:
    assert not untested_types(CATALOG)
    own = {
        f"graft.adapters.datasets.{name}"
        for name, kind in inspect.getmembers(graft.adapters.datasets, inspect.isclass)
        if issubclass(kind, AbstractDataset)
    }
    assert own == set(DATASETS) - {"MemoryDataset"}
    assert {f"artifact {ending}" for ending in FORMATS} <= set(WRITERS)


def test_each_node__has_a_fault_test() -> None:
    assert not untested_nodes(register_pipelines().values())
    nodes = register_pipelines()["__default__"].nodes
    assert set(NODES) == {node.short_name for node in nodes}, "these are no nodes any more"


def test_each_fault_test__is_there() -> None:
    for named in {*SITES.values(), *DATASETS.values(), *NODES.values()}:
        file, _, name = named.partition("::")
        tree = ast.parse((TESTS / file).read_text())
        there = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert name in there, named


# Planted, to see that they are named.


@pytest.mark.parametrize(
    "written",
    ["path.write_text(text)", "path.open('a').write(text)", "table.to_parquet(path)",
     "os.open(path, os.O_CREAT | os.O_WRONLY)", "part.replace(path)", "shutil.copy2(part, path)",
     "save_file(text, path)", "image.save(path)"],
)  # fmt: skip
def test_site__that_is_new_is_named(tmp_path: Path, written: str) -> None:
    module = tmp_path / "graft/adapters/planted.py"
    module.parent.mkdir(parents=True)
    module.write_text(f"class Keeper:\n    def keep(self, path, text):\n        {written}\n")
    assert untested_sites(tmp_path) == {"graft.adapters.planted:Keeper.keep"}


def test_type__that_is_new_is_named(tmp_path: Path) -> None:
    entry = {"{task}.guess": {"type": "pickle.PickleDataset", "filepath": "data/guess.pkl"}}
    (tmp_path / "07_model_output.yml").write_text(yaml.safe_dump(entry))
    assert untested_types(tmp_path) == {"pickle.PickleDataset"}


def test_node__that_is_new_is_named() -> None:
    pipelines = register_pipelines()
    planted = Pipeline([Node(untested_nodes, "verdict", "guess", name="guess_again")])
    assert untested_nodes([*pipelines.values(), planted]) == {"guess_again"}
