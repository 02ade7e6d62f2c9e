"""An export holds by itself; each change of it is named by file and field."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from exported_cases import LOCK, lay_version

from graft.adapters.export import (
    ANNEX,
    ANNEX_TEXT,
    BOM,
    ENVELOPE,
    MANIFEST,
    MODEL_CARD,
    ROOT_TAG,
    STATEMENT,
    annex,
    comparing,
)
from graft.adapters.export.gathering import Asked
from graft.adapters.export.reading import CARD, WEIGHTS
from graft.adapters.export.schemas import bom_faults
from graft.adapters.export.verifying import verify
from graft.adapters.export.writing import export_version
from graft.adapters.lineage.registered import registered_files
from graft.adapters.registry import AlteredModelError
from graft.vision.errors import DataError
from graft.vision.records import digest_of_file

TASKS = ("classification", "detection", "segmentation")
ALONE = """
import sys, socket
sys.modules["mlflow"] = sys.modules["kedro"] = None
def closed(*_, **__): raise OSError("no network")
socket.socket.connect = closed
from graft.commands.verify import verify
verify()
"""
DECLARED = {"intended_purpose": "To tell insects apart.", "data_licence": "CC0-1.0"}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Asked:
    return lay_version("classification", tmp_path_factory.mktemp("case") / "project", DECLARED)


@pytest.fixture(scope="module")
def written(asked: Asked, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("export") / "first"
    export_version(asked, folder)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy that a test may spoil."""
    yield Path(shutil.copytree(written, tmp_path / "export"))


def wrong(folder: Path, **known: Any) -> dict[str, list[str]]:
    """What does not hold: the checks, with what each names."""
    rows = verify(folder, **known)["rows"]
    return {r["fact"]: [f["what"] for f in r["faults"]] for r in rows if r["status"] != "holds"}


@pytest.mark.parametrize("task", TASKS)
def test_verify__holds_where_the_registry_is_gone(task: str, tmp_path: Path) -> None:
    asked, target = lay_version(task, tmp_path / "project"), tmp_path / "export"
    done = export_version(asked, target)
    shutil.rmtree(tmp_path / "project")
    report = verify(target, root=done["root_sha256"])
    assert report["holds"], [row for row in report["rows"] if row["faults"]]
    measured = next(row for row in report["rows"] if row["fact"] == "scores")
    assert not measured["recorded"].startswith("0 ")
    assert list(bom_faults((target / BOM).read_text(), BOM)) == []
    annex = json.loads((target / ANNEX).read_text())["points"]
    assert annex["2"]["fields"]["2g_scores"]["status"] == "measured"


def test_verify__needs_no_mlflow_no_project_and_no_network(folder: Path, tmp_path: Path) -> None:
    def alone() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", ALONE, str(folder), "--json"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    done = alone()
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["holds"]
    (folder / "lineage/ledger.jsonl").unlink()
    done = alone()
    assert done.returncode == 1 and "ledger.jsonl" in done.stdout


def field(*keys: Any, value: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        whole = json.loads(path.read_text())
        place = whole
        for key in keys[:-1]:
            place = place[key]
        assert place[keys[-1]] != value
        place[keys[-1]] = value
        path.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")

    return change


def text(old: str, new: str) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new, 1))

    return change


def cell(row: int, column: str, value: Any) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        table = pd.read_parquet(path)
        table.loc[row, column] = value
        table.to_parquet(path)

    return change


def last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))


COMPONENT = ("metadata", "component")
CHANGES: dict[str, tuple[str, Callable[[Path], None], str]] = {
    "score in the BOM": (
        BOM, field(*COMPONENT, "modelCard", "quantitativeAnalysis", "performanceMetrics", 0,
                   "value", value="0.99"),
        f"{BOM}: metadata.component.modelCard.quantitativeAnalysis.performanceMetrics[0].value",
    ),
    "licence in the BOM": (
        BOM, field("components", 0, "licenses", 0, "license", "id", value="MIT"),
        f"{BOM}: components[backbone].licenses[0].license.id",
    ),
    "package in the BOM": (
        BOM, text('"version": "2.3.0"', '"version": "2.3.1"'),
        f"{BOM}: components[pkg:pypi/numpy@2.3.0].version",
    ),
    "no CycloneDX": (
        BOM, field("components", 0, "type", value="engine"), f"{BOM}: $.components[0].type",
    ),
    "subject": (
        STATEMENT, field("subject", 1, "digest", "sha256", value="0" * 64),
        f"{STATEMENT}: subject {CARD} against {BOM}",
    ),
    "material": (
        STATEMENT, text('"gitCommit": "d', '"gitCommit": "0'),
        f"{STATEMENT}: predicate.buildDefinition.resolvedDependencies[code].digest.gitCommit",
    ),
    "no statement": (STATEMENT, text("Statement/v1", "Statement/v9"), f"{STATEMENT}: _type"),
    "measured field": (
        ANNEX, field("points", "2", "fields", "2d_images", "value", "test", value=8),
        f"{ANNEX}: points.2.fields.2d_images.value.test",
    ),
    "declared field": (
        ANNEX, field("points", "2", "fields", "2d_licence", "value", value="MIT"),
        f"{ANNEX}: points.2.fields.2d_licence.value",
    ),
    "status": (
        ANNEX, field("points", "5", "fields", "5_risk_management", "status", value="declared"),
        f"{ANNEX}: points.5.fields.5_risk_management.status",
    ),
    "blank": (
        ANNEX, field("points", "5", "fields", "5_risk_management", "value", value=""),
        f"{ANNEX}: points.5.fields.5_risk_management.value",
    ),
    "text of the annex": (ANNEX_TEXT, text("tell insects", "tell birds"), f"{ANNEX_TEXT}: line "),
    "model card": (MODEL_CARD, text("tell insects", "tell birds"), f"{MODEL_CARD}: line "),
    "record": (
        "lineage/lineage.json", field("code", "dirty", value="true"),
        "lineage/lineage.json: code.dirty",
    ),
    "score in the record": (
        "lineage/lineage.json", field("metrics", "scores", "accuracy", "low", value=0.99),
        "lineage/lineage.json: metrics.scores.accuracy.low",
    ),
    "split of an image": (
        "lineage/lineage_images.parquet", cell(9, "split", "test"),
        "lineage/lineage_images.parquet: row train/0.png, column split",
    ),
    "prediction": (
        "lineage/test_predictions.parquet", cell(0, "prediction", "wasp and bee"),
        "lineage/test_predictions.parquet: row alpha.png, column prediction",
    ),
    "verdict": (
        "lineage/verdict.json", text("alone", "good"), "lineage/verdict.json: sentences[0]",
    ),
    "what was declared": (
        "lineage/declared.json", field("data_licence", value="MIT"),
        "lineage/declared.json: data_licence",
    ),
    "tag of the version": (
        "lineage/version.json", field("tags", "weights_sha256", value="0" * 64),
        "tag weights_sha256 of the version",
    ),
    "promotion": ("lineage/ledger.jsonl", text("is held", "is felt"), "lineage/ledger.jsonl"),
    "lock": ("lineage/requirements.lock", text("==2.3.0", "==2.2.0"),
             "lineage/requirements.lock: line 1"),
    "weights": (f"registered/{WEIGHTS}", last_byte, f"registered/{WEIGHTS}"),
    "card of the model": (
        f"registered/{CARD}", field("seed", value=9), f"registered/{CARD}: seed",
    ),
    "code that predicts": (
        "registered/code/graft/vision/serving.py", text("import", "from"),
        "registered/code/graft/vision/serving.py",
    ),
    "schema": (
        "schemas/bom-1.6.SNAPSHOT.schema.json", field("properties", "version", "default", value=2),
        "schemas/bom-1.6.SNAPSHOT.schema.json: properties.version.default",
    ),
    "manifest": (MANIFEST, field("root_sha256", value="0" * 64), f"{MANIFEST}: root_sha256"),
    "part in the manifest": (
        MANIFEST, field("parts", "lineage/verdict.json", "sentences[0]", value="0" * 12),
        f"{MANIFEST}: parts of lineage/verdict.json: sentences[0]",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_verify__names_file_and_field_of_a_change(name: str, folder: Path) -> None:
    file, change, what = CHANGES[name]
    change(folder / file)
    found = wrong(folder)
    assert "files" in found
    assert any(each.startswith(what) for faults in found.values() for each in faults), found


def test_verify__names_a_file_that_is_missing_or_came_in_beside(folder: Path) -> None:
    (folder / "lineage/verdict.json").unlink()
    (folder / "notes.txt").write_text("mine")
    assert {"lineage/verdict.json", "notes.txt"} <= set(wrong(folder)["files"])


def test_verify__finds_what_a_manifest_written_anew_hides(folder: Path, asked: Asked) -> None:
    from graft.adapters.export.documents import text_of
    from graft.adapters.export.manifest import manifest_of_export

    CHANGES["measured field"][1](folder / ANNEX)
    last_byte(folder / "registered" / WEIGHTS)
    (folder / MANIFEST).write_text(text_of(manifest_of_export(folder)))
    found = wrong(folder)
    assert "files" not in found
    assert f"registered/{WEIGHTS}" in found["registered bytes"]
    assert f"{ANNEX}: points.2.fields.2d_images.value.test" in found["Annex IV"]
    root = _tags(asked)[ROOT_TAG]
    assert wrong(folder, root=root)["files"] == [f"{MANIFEST}: root_sha256"]


def test_verify__compares_facts_where_another_graft_wrote_the_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "writer", lambda: "another")
    monkeypatch.setattr(annex, "REGULATION", "in other words")
    report = verify(folder)
    notes = {row["fact"]: row["note"] for row in report["rows"]}
    assert report["holds"] and notes["Annex IV"] == comparing.OTHER_WORDS
    CHANGES["measured field"][1](folder / ANNEX)
    assert f"{ANNEX}: points.2.fields.2d_images.value.test" in wrong(folder)["Annex IV"]
    CHANGES["status"][1](folder / ANNEX)
    assert CHANGES["status"][2] in wrong(folder)["files"]


def test_verify__refuses_a_folder_that_holds_no_export(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no export"):
        verify(tmp_path)


def test_export__calls_unknown_what_nobody_stated(written: Path) -> None:
    points = json.loads((written / ANNEX).read_text())["points"]
    assert list(points) == [str(number) for number in range(1, 10)]
    fields = {name: said for point in points.values() for name, said in point["fields"].items()}
    assert all(said["value"] not in (None, "", [], {}) for said in fields.values())
    assert fields["1a_intended_purpose"] == {
        "asks": "what it is for", "value": "To tell insects apart.", "status": "declared",
        "source": "lineage/declared.json: intended_purpose",
    }  # fmt: skip
    unknown = fields["9_plan"]
    assert (unknown["value"], unknown["status"]) == ("unknown", "unknown")
    assert fields["2g_by_slice"]["status"] == "measured" and len(fields["2g_by_slice"]["value"]) > 3
    card = (written / MODEL_CARD).read_text()
    assert "- Responsible: unknown" in card
    assert "intervals of confidence 0.95, by 100 resamples" in card  # one of them by default


def test_export__names_backbone_splits_and_packages_in_the_bom(written: Path) -> None:
    bom = json.loads((written / BOM).read_text())
    parts = {each["bom-ref"]: each for each in bom["components"]}
    backbone, model = parts["backbone"], bom["metadata"]["component"]
    assert backbone["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert backbone["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert backbone["purl"] == "pkg:pypi/tiny-weights@1.0"
    assert [each["name"] for each in model["pedigree"]["ancestors"]] == [backbone["name"]]
    assert {"data-train", "data-test", "pkg:pypi/torch@2.14.1"} <= set(parts)
    assert len(parts["pkg:pypi/numpy@2.3.0"]["hashes"]) == 2
    assert "python_full_version" in parts["pkg:pypi/numpy@2.3.0"]["properties"][0]["value"]
    assert parts["data-train"]["licenses"] == [{"license": {"id": "CC0-1.0"}}]
    assert (written / "lineage/requirements.lock").read_text() == LOCK


def test_export__tags_the_version_with_the_root_digest(written: Path, asked: Asked) -> None:
    stated = json.loads((written / MANIFEST).read_text())["root_sha256"]
    assert _tags(asked)[ROOT_TAG] == stated
    assert wrong(written, root=stated) == {}


def test_export__without_weights_keeps_their_digest(asked: Asked, tmp_path: Path) -> None:
    from dataclasses import replace

    export_version(replace(asked, weights=False), tmp_path / "light")
    assert not (tmp_path / "light/registered" / WEIGHTS).exists()
    assert wrong(tmp_path / "light") == {}
    statement = json.loads((tmp_path / "light" / STATEMENT).read_text())
    digests = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    assert digests[WEIGHTS] == asked.version.tags["weights_sha256"]


def test_export__signs_with_a_key(asked: Asked, tmp_path: Path) -> None:
    key, other = _key(tmp_path / "key.pem"), _key(tmp_path / "other.pem")
    folder = tmp_path / "signed"
    assert export_version(asked, folder, key)["signed"]
    assert wrong(folder) == {} == wrong(folder, key=key)
    assert wrong(folder, key=other) == {"signature": [f"{ENVELOPE}: signatures[0].keyid"]}
    CHANGES["material"][1](folder / STATEMENT)
    assert f"{ENVELOPE}: payload" in wrong(folder, key=key)["signature"]


def test_export__does_not_write_over_what_is_no_export(asked: Asked, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="not empty and holds no export"):
        export_version(asked, tmp_path)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def test_export__refuses_other_bytes_than_were_registered(asked: Asked, tmp_path: Path) -> None:
    with registered_files(asked.version) as registered:  # where they lie
        (weights,) = registered.rglob("model.safetensors")
        kept = weights.read_bytes()
        weights.write_bytes(kept[:-1] + bytes([kept[-1] ^ 1]))
        try:
            with pytest.raises(AlteredModelError, match="is not what was registered"):
                export_version(asked, tmp_path / "altered")
        finally:
            weights.write_bytes(kept)
    assert not any((tmp_path / "altered").glob("*"))


def test_export__may_be_written_anew(asked: Asked, tmp_path: Path) -> None:
    for _ in range(2):
        export_version(asked, tmp_path / "again")
    assert wrong(tmp_path / "again") == {}
    assert digest_of_file(tmp_path / "again" / "lineage/ledger.jsonl") == digest_of_file(
        asked.ledger.path
    )


def _tags(asked: Asked) -> dict[str, str]:
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{asked.project}/mlflow.db")
    return dict(client.get_model_version(asked.version.name, asked.version.version).tags)


def _key(path: Path) -> Path:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    made = Ed25519PrivateKey.generate()
    path.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return path
