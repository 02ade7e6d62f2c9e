"""`kedro store`: what no case and no champion names goes, and nothing else."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import mlflow
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from recorded_models import DECODING, RAW, draw, record

from graft.adapters.store_use import STORES, Stores, uses_of_cases, uses_of_champions
from graft.commands.store import store
from graft.vision.data.options import DecodingOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.errors import StoreError
from graft.vision.features import GRAPHS
from graft.vision.features.engines.graphs import kept_graph
from graft.vision.records import digest_of_file
from graft.vision.store import ArrayStore

PARAMETERS = "classification:\n  ingestion:\n    decoding: {short_side_px: 96}\n"
OLD = DecodingOptions(short_side_px=48)
"""A rule that the case had before."""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """Ten images in the stores; a champion saw 0 to 3, the case `a` holds 3 to 5."""
    before, here = mlflow.get_tracking_uri(), Path.cwd()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    for name in ("base/parameters", "street_scenes", "a"):
        (tmp_path / "conf" / name).mkdir(parents=True)
    (tmp_path / "conf/base/parameters/classification.yml").write_text(PARAMETERS)
    (tmp_path / "conf/base/globals.yml").write_text("case: a\nraw: data/01_raw/tiny\n")
    (tmp_path / "conf/base/mlflow.yml").write_text("experiment: a\n")
    draw(tmp_path, 10)
    record(tmp_path, "a-classification", {f"{i}.png": "train" for i in range(4)})
    record(tmp_path, "a-classification", {f"{i}.png": "train" for i in range(3)})  # replaced
    mlflow.MlflowClient().set_registered_model_alias("a-classification", "champion", "1")
    fill_stores(tmp_path)
    yield tmp_path
    mlflow.set_tracking_uri(before)
    os.chdir(here)


def sha256_of(project: Path, number: int) -> str:
    return digest_of_file(project / RAW / f"{number}.png")


def fill_stores(project: Path) -> None:
    keys = [sha256_of(project, number) for number in range(10)]
    folder = project / STORES["pixels"]
    namespaces: list[ArrayStore] = [
        PixelStore(folder, rule).array_store for rule in (DECODING, OLD)
    ]
    namespaces += [ArrayStore(project / STORES["features"], name) for name in ("now", "old")]
    for number, opened in enumerate(namespaces):
        with opened.writer() as writer:
            for key in keys:
                writer.add(key, np.full(50, number))
            writer.add("refused", np.zeros(0, np.uint8), {"reason": "the file is empty"})
    table = pd.DataFrame({"id": keys[3:6], "sha256": keys[3:6], "truth": '{"classes": ["ant"]}'})
    table = table.assign(width=9, height=9, group="")
    for place in ("02_intermediate/{}/manifest", "04_feature/{}/frozen_features"):
        file = project / "data" / f"{place.format('a/classification')}.parquet"
        file.parent.mkdir(parents=True)
        table.assign(key=table["sha256"], namespace="now").to_parquet(file)


def uses(project: Path) -> Stores:
    return Stores(project, [*uses_of_cases(project), *uses_of_champions(project)])


def left(project: Path, opened: ArrayStore) -> set[int]:
    numbers = {sha256_of(project, number): number for number in range(10)}
    opened.refresh()
    assert "refused" in opened
    return {numbers[key] for key in opened.entries() if key != "refused"}


def test_prune__keeps_what_cases_and_champions_name(project: Path) -> None:
    told = uses(project).prune(-1, remove=True)
    assert sum(row["arrays"] for row in told) > 0 and not any("fault" in row for row in told)
    folder = project / STORES["pixels"]
    assert left(project, PixelStore(folder, DECODING).array_store) == {0, 1, 2, 3, 4, 5}
    assert left(project, PixelStore(folder, OLD).array_store) == set()
    features = project / STORES["features"]
    assert left(project, ArrayStore(features, "now")) == {0, 1, 2, 3, 4, 5}
    assert left(project, ArrayStore(features, "old")) == {0, 1, 2, 3}  # of which rule none is told


def test_prune__keeps_all_rules_where_conf_tells_none(project: Path) -> None:
    (project / "conf/a").rmdir()
    uses(project).prune(-1, remove=True)
    old = PixelStore(project / STORES["pixels"], OLD).array_store
    assert left(project, old) == {3, 4, 5}


def test_prune__stops_where_a_champions_record_cannot_be_read(project: Path) -> None:
    (images,) = project.rglob("1/lineage_images.parquet")
    images.write_bytes(b"altered")
    with pytest.raises(StoreError, match=r"the champion a-classification/1 needs cannot be told"):
        uses(project)


def command(project: Path, *words: str) -> Any:
    metadata = SimpleNamespace(project_path=project)
    done = CliRunner().invoke(store, list(words), obj=metadata, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return json.loads(done.output) if "--json" in words else done.output


def test_stat__tells_each_namespace_its_rule_and_who_needs_it(project: Path) -> None:
    found = {row["namespace"]: row for row in command(project, "stat", "--json")}
    now, old = found[DECODING.digest[:16]], found[OLD.digest[:16]]
    assert (now["store"], now["arrays"], now["bytes"], now["dead_bytes"]) == ("pixels", 11, 4000, 0)
    assert now["rule"] == {"decoding": DECODING.model_dump(mode="json")}
    assert now["used_by"] == ["a/classification"] and old["used_by"] == []
    assert now["written"].endswith("+00:00")
    assert found["now"]["used_by"] == ["a/classification"]
    assert "used by: nobody" in command(project, "stat")


def test_prune__does_nothing_unless_told(project: Path) -> None:
    before = command(project, "stat", "--json")
    assert "would remove" in command(project, "prune", "--idle-minutes", "0")
    assert command(project, "stat", "--json") == before
    assert command(project, "prune", "--yes").startswith("removed 0.0 MB")  # written to just now
    told = command(project, "prune", "--yes", "--idle-minutes", "0", "--json")
    assert sum(row["arrays"] for row in told) == 4 + 10 + 4 + 6 + 4
    assert all(row["dead_bytes"] == 0 for row in command(project, "stat", "--json"))


def keep_graphs(project: Path, weights: dict[str, str]) -> ArrayStore:
    """A graph of the weights of each namespace, and one that tells of none."""
    folder = project / STORES["features"]
    graphs = ArrayStore(folder, GRAPHS, {"graphs": GRAPHS})
    for name, digest in weights.items():
        with ArrayStore(folder, name, {"weights": digest}).writer():
            pass
        kept_graph(folder, {"weights": digest, "shape": name}, "fp32", lambda: None)
    with graphs.writer() as writer:
        writer.add("of an earlier version", np.ones(9, np.uint8))
    with ArrayStore(folder, "graphs-1").writer() as writer:
        writer.add("of an earlier form", np.ones(9, np.uint8), {"weights": "a" * 64})
    return graphs


def test_graphs__stay_with_the_features_of_their_weights(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graft.vision.features.engines.graphs._written", lambda *_: b"graph")
    monkeypatch.setattr("graft.vision.features.engines.graphs.openvino", MagicMock())
    monkeypatch.setattr("graft.vision.features.engines.graphs._machine", lambda _: [])
    graphs = keep_graphs(project, {"now": "a" * 64, "old": "b" * 64, "gone": "c" * 64})
    row = next(r for r in command(project, "stat", "--json") if r["namespace"] == GRAPHS)
    assert row["used_by"] == ["a/classification"]
    uses(project).prune(-1, remove=True)
    graphs.refresh()
    held = {entry.meta["weights"][0] for entry in graphs.entries().values()}
    assert held == {"a", "b"}  # champions tell of no rule, and hold each that saw their images
    cases = Stores(project, uses_of_cases(project))
    cases.prune(-1, remove=True)
    graphs.refresh()
    assert [entry.meta["weights"][0] for entry in graphs.entries().values()] == ["a"]
    assert not ArrayStore(project / STORES["features"], "graphs-1").entries()
