"""Nothing in a file from outside runs, whatever reads it, and the error names the file.

Weight files stand in tests/vision/backbones/test_weights.py, checkpoints in
tests/vision/training/test_checkpoint.py, archives in tests/adapters/test_packing.py.
"""

import ast
import io
import json
import os
import pickle
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mlflow
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from kedro.io import DatasetError
from label_sets import SETS, lay_masks, lay_table, lay_yolo, write

from graft.adapters.datasets import ArtifactDataset, TrainedModelDataset
from graft.adapters.datasets.trained_model import DIGESTS
from graft.adapters.registry import AlteredModelError, verified
from graft.vision.data.manifest import build_manifest
from graft.vision.data.options import IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.sources.yolo import _PlainLoader
from graft.vision.errors import DataError, GraftError
from graft.vision.records import digest_of_file

sys.path.append(str(Path(__file__).parents[1] / "pipelines"))
SOURCE = Path(__file__).resolve().parents[2] / "src/graft"


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that planted code would make."""
    return tmp_path / "code_has_run"


@pytest.fixture
def bomb(marker: Path) -> bytes:
    """A pickle that makes the marker where it is loaded."""

    class Planted:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {marker}",)

    return pickle.dumps(Planted())


def test_bomb__runs_where_pickles_are_trusted(bomb: bytes, marker: Path) -> None:
    pickle.loads(bomb)
    assert marker.exists()


def zipped(bomb: bytes) -> bytes:
    """The bytes of torch's archive with this pickle in it."""
    import zipfile

    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("archive/data.pkl", bomb)
        archive.writestr("archive/version", "3\n")
    return data.getvalue()


def array_of_objects(bomb: bytes) -> bytes:
    """An .npy file whose values are this pickle."""
    head = "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head.encode() + bomb


def arrow_of_python(bomb: bytes) -> bytes:
    """A parquet file with a column of an extension type that is a pickle."""
    named = {"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": bomb}
    fields = [pa.field("path", pa.string(), metadata=named), pa.field("label", pa.string())]
    table = pa.table([["00.png"], ["ant"]], schema=pa.schema(fields))
    data = io.BytesIO()
    pq.write_table(table, data)
    return data.getvalue()


def dicom_of(bomb: bytes) -> bytes:
    """A DICOM head with this in place of a data set."""
    return b"\0" * 128 + b"DICM" + bomb


def tagged(marker: Path) -> str:
    """YAML that asks for a call."""
    return f"names: !!python/object/apply:os.system ['touch {marker}']\n"


FORMS: dict[str, Callable[[bytes], bytes]] = {
    "pickle": lambda bomb: bomb, "zip": zipped, "npy": array_of_objects, "dicom": dicom_of,
}  # fmt: skip


def ingest(name: str, root: Path, **more: Any) -> Any:
    source = SourceOptions.parse({**SETS[name][1], **more}, "test")
    options = IngestionOptions(source=source, workers=1, quarantine_share_max=1.0)
    return build_manifest(root, PixelStore(root.parent / "pixels", options.decoding), options)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("place", ["images/03.png", "masks/03.png", "images/03.dcm", "classes.txt"])
def test_raw_file__that_is_a_pickle_is_refused_by_name_and_never_runs(
    tmp_path: Path, bomb: bytes, marker: Path, form: str, place: str
) -> None:
    root = tmp_path / "raw"
    lay_masks(root)
    (root / place).write_bytes(FORMS[form](bomb))
    try:
        told = ingest("masks", root).quarantine.to_dict("records")
        assert place in {part for row in told for part in (row["file"], row["row"])}
    except DataError as error:
        assert place == "classes.txt" or "03" in str(error)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["voc", "coco", "yolo", "boxes_csv", "labelme", "table"])
@pytest.mark.parametrize("form", FORMS)
def test_label_file__that_is_a_pickle_is_refused_by_name_and_never_runs(
    tmp_path: Path, bomb: bytes, marker: Path, name: str, form: str
) -> None:
    root = tmp_path / "raw"
    SETS[name][0](root)
    endings = (".xml", ".json", ".txt", ".csv")
    file = sorted(p for p in root.rglob("*") if p.suffix in endings)[0]
    file.write_bytes(FORMS[form](bomb))
    try:
        told = ingest(name, root).quarantine.to_dict("records")
        names = {part for row in told for part in (row["file"], row["row"])}
        assert any(file.name in place for place in names)
    except DataError as error:
        assert file.name in str(error)
    assert not marker.exists()


def test_table__of_a_pickled_type_of_arrow_never_runs(
    tmp_path: Path, bomb: bytes, marker: Path
) -> None:
    root = tmp_path / "raw"
    lay_table(root)
    (root / "table.csv").unlink()
    (root / "t.parquet").write_bytes(arrow_of_python(bomb))
    assert len(ingest("table", root).manifest) == 1  # its storage is plain text
    dataset = ArtifactDataset(str(root / "t.parquet"))
    assert list(dataset.load()["label"]) == ["ant"]
    assert not marker.exists()


@pytest.mark.parametrize("ending", [".parquet", ".json", ".csv"])
def test_artifact__that_is_a_pickle_is_refused_by_name(
    tmp_path: Path, bomb: bytes, marker: Path, ending: str
) -> None:
    path = tmp_path / f"manifest{ending}"
    path.write_bytes(bomb)
    with pytest.raises(DatasetError, match=rf"manifest\{ending} is damaged"):
        ArtifactDataset(str(path)).load()
    assert not marker.exists()


def test_sheet__of_yolo_with_a_tag_of_python_is_refused_by_name(
    tmp_path: Path, marker: Path
) -> None:
    root = tmp_path / "raw"
    lay_yolo(root)
    write(root / "data.yaml", tagged(marker))
    with pytest.raises(DataError, match=r"data\.yaml is no sound YAML.*python/object/apply"):
        ingest("yolo", root)
    assert not marker.exists()


# --- models --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a trained model."""
    from served_cases import lay_case

    folder = tmp_path_factory.mktemp("trained")
    lay_case("classification", folder).model.save(folder / "model")
    return folder / "model"


def overlapping() -> bytes:
    """Two tensors in the same bytes."""
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    head = json.dumps({"a": one, "b": one}).encode()
    return struct.pack("<Q", len(head)) + head + b"\0" * 4


WEIGHTS: dict[str, Callable[[bytes], bytes]] = {
    "header of an exabyte": lambda bomb: struct.pack("<Q", 1 << 60) + b"{}",
    "header beyond the file": lambda bomb: struct.pack("<Q", 9_999) + b"{}",
    "header no JSON": lambda bomb: struct.pack("<Q", 4) + b"abcd",
    "tensors that overlap": lambda bomb: overlapping(),
    "pickle": lambda bomb: bomb,
    "zip": zipped,
}


@pytest.mark.parametrize("what", WEIGHTS)
def test_model_folder__with_planted_weights_is_refused_by_name(
    tmp_path: Path, trained: Path, bomb: bytes, marker: Path, what: str
) -> None:
    folder = planted(tmp_path, trained, "model.safetensors", WEIGHTS[what](bomb))
    with pytest.raises(DatasetError, match=r"model\.safetensors cannot be read as tensors"):
        TrainedModelDataset(str(folder)).load()
    assert not marker.exists()


@pytest.mark.parametrize("form", FORMS)
def test_model_folder__with_a_planted_card_is_refused_by_name(
    tmp_path: Path, trained: Path, bomb: bytes, marker: Path, form: str
) -> None:
    folder = planted(tmp_path, trained, "card.json", FORMS[form](bomb))
    with pytest.raises(DatasetError, match=r"card\.json cannot be read"):
        TrainedModelDataset(str(folder)).load()
    assert not marker.exists()


def planted(folder: Path, trained: Path, name: str, content: bytes) -> Path:
    """A model's folder with one other file; who plants that plants its digest too."""
    copy = shutil.copytree(trained, folder / "planted")
    (copy / name).write_bytes(content)
    digests = {path.name: digest_of_file(path) for path in copy.iterdir()}
    (copy / DIGESTS).write_text(json.dumps(digests))
    return copy


def mlflow_folder(folder: Path, flavour: str, bomb: bytes) -> Path:
    """What MLflow would load as a model, with a pickle in every place that it knows."""
    for name in ("artifacts/model/card.json", "artifacts/model/model.safetensors"):
        write(folder / name, "{}")
    write(folder / "code/graft/__init__.py", "")
    write(folder / "serving.py", "")
    for name in ("python_model.pkl", "model.pkl"):
        (folder / name).write_bytes(bomb)
    write(folder / "MLmodel", flavour)
    return folder


def flavour(**loads: str) -> str:
    return yaml.safe_dump({"flavors": {"python_function": loads}})


PICKLED = {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl",
           "cloudpickle_version": "3.1.1", "python_version": "3.11.0"}  # fmt: skip
MERGES = "a: &a {x: 1}\nflavors:\n  python_function: {<<: *a}\n"
FLAVOURS = {
    "python_model.pkl": flavour(**PICKLED),
    "scikit-learn": flavour(loader_module="mlflow.sklearn", model_path="model.pkl"),
    "torch": flavour(loader_module="mlflow.pytorch", model_code_path="serving.py", code="code"),
    "tag of Python": "flavors: !!python/object/apply:os.system ['touch code_has_run']\n",
    "no flavour": "{}",
    "no mapping": "- 1\n",
    "merges": MERGES,
    "nothing": "",
}


@pytest.mark.parametrize("what", FLAVOURS)
def test_registered_model__that_asks_for_other_code_is_refused_before_it_is_loaded(
    tmp_path: Path, bomb: bytes, marker: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    source = mlflow_folder(tmp_path / "registered", FLAVOURS[what], bomb)
    for name in ("python_model.pkl", "model.pkl"):
        (source / name).unlink()  # the loader alone is refused, whatever lies beside it

    def download(artifact_uri: str, dst_path: str) -> str:
        return str(shutil.copytree(source, Path(dst_path) / "model"))

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", download)
    version: Any = SimpleNamespace(name="tiny", version="1", tags={})
    with pytest.raises(AlteredModelError, match=r"tiny/1 is not what was registered.*MLmodel"):
        verified(version).__enter__()
    assert not marker.exists() and not Path("code_has_run").exists()


def test_registered_model__with_a_pickle_beside_it_is_refused_by_its_name(
    tmp_path: Path, bomb: bytes, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = mlflow_folder(tmp_path / "registered", FLAVOURS["python_model.pkl"], bomb)
    monkeypatch.setattr(
        mlflow.artifacts, "download_artifacts",
        lambda artifact_uri, dst_path: str(shutil.copytree(source, Path(dst_path) / "model")),
    )  # fmt: skip
    version: Any = SimpleNamespace(name="tiny", version="1", tags={})
    with pytest.raises(AlteredModelError, match=r"model\.pkl added, python_model\.pkl added"):
        verified(version).__enter__()
    assert not marker.exists()


def test_mlflow__loads_no_pickle_where_graft_works(
    tmp_path: Path, bomb: bytes, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = "import graft.adapters, os; print(os.environ['MLFLOW_ALLOW_PICKLE_DESERIALIZATION'])"
    bare = {name: value for name, value in os.environ.items() if "PICKLE" not in name}
    done = subprocess.run(
        [sys.executable, "-c", asked], env=bare, capture_output=True, text=True, check=True
    )
    assert done.stdout == "false\n"
    folder = mlflow_folder(tmp_path / "model", FLAVOURS["python_model.pkl"], bomb)
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    with pytest.raises(mlflow.MlflowException, match="using pickle is disallowed"):
        mlflow.pyfunc.load_model(str(folder))
    assert not marker.exists()
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "true")
    with pytest.raises(Exception):  # noqa: B017 - whatever comes of a model that is none
        mlflow.pyfunc.load_model(str(folder))
    assert marker.exists()  # so that the folder above is one that would have run


# --- stores --------------------------------------------------------------------------------------


@pytest.mark.parametrize("file", ["000000.index", "000000.bin", "rule.json"])
def test_store__with_a_planted_pickle_never_runs_it(
    tmp_path: Path, bomb: bytes, marker: Path, file: str
) -> None:
    root = tmp_path / "raw"
    lay_table(root)
    before = ingest("table", root).manifest
    (store,) = (tmp_path / "pixels").iterdir()
    (store / file).write_bytes(bomb)
    try:
        again = ingest("table", root).manifest
        assert list(again["sha256"]) == list(before["sha256"])
    except GraftError as error:
        assert store.name in str(error)
    assert not marker.exists()


# --- the code itself -----------------------------------------------------------------------------

FORBIDDEN = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.spawnv",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.load", "marshal.loads",
    "shelve.open", "joblib.load", "dill.load", "dill.loads", "cloudpickle.load",
    "cloudpickle.loads", "pd.read_pickle", "pandas.read_pickle", "np.load", "numpy.load",
    "yaml.unsafe_load", "yaml.full_load", "yaml.load_all", "torch.jit.load", "torch.hub.load",
    "subprocess.getoutput", "subprocess.getstatusoutput",
}  # fmt: skip


def calls_of(file: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_code__calls_nothing_that_runs_what_it_reads() -> None:
    found = []
    for file in sorted(SOURCE.rglob("*.py")):
        for name, call in calls_of(file):
            said = {word.arg: ast.unparse(word.value) for word in call.keywords}
            place = f"{file.relative_to(SOURCE)}:{call.lineno} {name}"
            unsafe = name in FORBIDDEN or said.get("allow_pickle") == "True"
            unsafe |= "shell" in said and said["shell"] != "False"
            unsafe |= name == "torch.load" and said.get("weights_only") != "True"
            unsafe |= name == "yaml.load" and ast.unparse(call.args[1]) != "_PlainLoader"
            found += [place] if unsafe else []
    assert found == []


def test_plain_loader__is_a_safe_one() -> None:
    assert issubclass(_PlainLoader, yaml.SafeLoader)
