"""The registered model behind `mlflow models serve`, where graft is not installed."""

import base64
import io
import json
import os
import signal
import socket
import subprocess
import sys
import sysconfig
import time
import urllib.error
import urllib.request
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco
from served_cases import ServedCase, lay_case

from graft.adapters.datasets import RegisteredModelDataset
from graft.adapters.tracking import serving
from graft.adapters.tracking.package import (
    BESIDE,
    ENTRANCE,
    REQUIREMENTS,
    requirements,
    served_code,
)
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone
from graft.vision.contenders.ground import lay_ground
from graft.vision.data.masks import decode_mask
from graft.vision.data.options import IngestionOptions
from graft.vision.errors import OptionsError
from graft.vision.imports import imported_names
from graft.vision.model import TrainedModel
from graft.vision.records import SPLIT_COLUMNS, new_table
from graft.vision.serving import answer_images, predict_images
from graft.vision.tasks import TASKS
from graft.vision.tasks.segmentation.answer import runs_of

CLASSES = ("ant", "bee", "wasp")
BACKBONE = BackboneOptions(name="test_efficientnet", weights="none", image_size_px=32)
COLUMNS = ["prediction", "score", "prob_ant", "prob_bee", "prob_wasp", "error"]


def new_model(folder: Path) -> TrainedModel:
    """A model as training leaves it, but for the training."""
    ground = lay_ground(
        {"name": "classification"},
        {"names": CLASSES, "exclusive": True},
        new_table([], SPLIT_COLUMNS),
        folder / "pixels",
        IngestionOptions(),
        BACKBONE,
        describe_backbone(BACKBONE),
        {},
        seed=0,
    )
    return ground.finish("fine_tuned", ground.new_model(), "full", 1.0, {})


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with an MLflow store of its own, as quiet as a run makes it."""
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    folder = tmp_path_factory.mktemp("store")
    (folder / "reports").mkdir()
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=(folder / "mlruns").as_uri())
    mlflow.set_experiment("tiny")
    yield folder
    mlflow.set_tracking_uri(before)


@pytest.fixture(scope="module")
def model(store: Path) -> TrainedModel:
    """The model that is registered."""
    return new_model(store)


@pytest.fixture(scope="module")
def registered(store: Path, model: TrainedModel) -> dict[str, Any]:
    """What the record says once the model is registered."""
    (store / "reports/report.html").write_text("<p>how it went</p>")
    return register(store, model)


def register(store: Path, model: TrainedModel) -> dict[str, Any]:
    record = store / "reports/registered_model.json"
    dataset = RegisteredModelDataset("tiny-classification", str(record))
    with mlflow.start_run():
        dataset.save(model)
    return dataset.load()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Three drawn pictures and one of 12 megapixels."""
    folder, paths = tmp_path_factory.mktemp("images"), []
    for number, (height, width) in enumerate([(48, 48), (60, 40), (90, 120), (3000, 4000)]):
        rng = np.random.default_rng(number)
        small = rng.integers(0, 255, (max(1, height // 8), max(1, width // 8), 3), dtype=np.uint8)
        path = folder / f"{number}.jpg"
        Image.fromarray(small).resize((width, height)).save(path, quality=90)
        paths.append(path)
    return paths


@pytest.fixture(scope="module")
def foreign_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the same packages, in which graft cannot be imported."""
    folder = tmp_path_factory.mktemp("foreign")
    venv.create(folder, with_pip=False)
    python = folder / "bin/python"
    found = sysconfig.get_path("purelib", vars={"base": str(folder)})
    # Path files in a folder that a path file names are not read: nor is graft's own.
    (Path(found) / "packages.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / "bin/uvicorn").write_text(f'#!/bin/sh\nexec {python} -m uvicorn "$@"\n')
    (folder / "bin/uvicorn").chmod(0o755)
    done = subprocess.run([python, "-c", "import graft"], cwd=folder, capture_output=True)
    if done.returncode == 0:
        pytest.skip("graft is installed among the packages, so it cannot be hidden")
    return python


@pytest.fixture(scope="module")
def server(
    store: Path, registered: dict[str, Any], foreign_python: Path
) -> Iterator[tuple[int, Path]]:
    """`mlflow models serve` in a clean process; its port and its log."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = store / "server.log"
    command = [str(foreign_python), "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    command += ["-m", "models:/tiny-classification@challenger"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    kept = {
        k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "MLFLOW", "VIRTUAL"))
    }
    environment = {
        **kept,
        "PATH": f"{foreign_python.parent}:{kept['PATH']}",
        "MLFLOW_TRACKING_URI": f"sqlite:///{store}/mlflow.db",
        "DO_NOT_TRACK": "true",
    }
    with log.open("w") as out:
        process = subprocess.Popen(
            command,
            cwd=foreign_python.parent,
            env=environment,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
        try:
            wait_for(port, process, log)
            yield port, log
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text()[-3000:])


def post(port: int, body: object) -> tuple[int, Any]:
    """The status, and the answer read as strict JSON: NaN is none."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            status, text = answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        status, text = error.code, error.read().decode()
    return status, json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def base64_of(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()


def split_form(column: str, values: list[str]) -> dict[str, Any]:
    return {"dataframe_split": {"columns": [column], "data": [[value] for value in values]}}


def test_server__answers_bytes_and_paths_as_the_model_predicts(
    server: tuple[int, Path], model: TrainedModel, images: list[Path]
) -> None:
    wanted = predict_images(model, images)
    assert wanted["score"].nunique() == len(images)
    coded, paths = [base64_of(path) for path in images], [str(path) for path in images]
    for body in (
        split_form("image", coded),
        split_form("path", paths),
        {"inputs": {"image": coded}},
        {"dataframe_records": [{"image": text, "path": ""} for text in coded]},
    ):
        status, answer = post(server[0], body)
        assert status == 200, (list(body), answer)
        found = pd.DataFrame(answer["predictions"])
        assert list(found.columns) == COLUMNS
        assert list(found["prediction"]) == list(wanted["prediction"])
        assert not found["error"].any()
        numbers = COLUMNS[1:-1]
        np.testing.assert_allclose(found[numbers], wanted[numbers].astype(float), atol=1e-6)


def test_server__gives_a_broken_image_its_reason_and_the_others_their_prediction(
    server: tuple[int, Path], images: list[Path]
) -> None:
    cut = base64.b64encode(images[0].read_bytes()[:300]).decode()
    text = base64.b64encode(b"no image").decode()
    status, answer = post(server[0], split_form("image", [base64_of(images[0]), cut, text, ""]))
    assert status == 200
    good, *bad = answer["predictions"]
    assert good["prediction"] in CLASSES and good["error"] == ""
    assert all(row["prediction"] is None and row["score"] is None for row in bad)
    assert ["cannot be decoded" in bad[0]["error"], "not an image" in bad[1]["error"]] == [True] * 2
    assert "no image is given" in bad[2]["error"]


def test_server__reads_no_device_and_names_a_path_that_is_not_there(
    server: tuple[int, Path], images: list[Path]
) -> None:
    status, answer = post(server[0], split_form("path", ["/no/such.png", "/dev/zero", "a\0b"]))
    assert status == 200
    reasons = [row["error"] for row in answer["predictions"]]
    assert reasons[:2] == ["no file at /no/such.png.", "no file at /dev/zero."]
    assert "a\0b" in reasons[2]


def test_server__answers_an_empty_batch_with_none(server: tuple[int, Path]) -> None:
    assert post(server[0], split_form("image", [])) == (200, {"predictions": []})


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (split_form("picture", ["x"]), "no column holds images; allowed: image"),
        (split_form("image", ["abcde"]), "Invalid base64"),
        ({"image": "x"}, "dataframe_split"),
    ],
)
def test_server__refuses_what_it_cannot_read_with_status_400(
    server: tuple[int, Path], body: object, said: str
) -> None:
    status, answer = post(server[0], body)
    assert status == 400
    assert said in json.dumps(answer)


def test_server__starts_without_warnings(server: tuple[int, Path]) -> None:
    lines = server[1].read_text().splitlines()
    assert not [line for line in lines if "Warning" in line or "Error" in line]


def test_package__holds_the_code_that_predicts_and_no_pickle(
    store: Path, registered: dict[str, Any]
) -> None:
    files = [path.relative_to(store) for path in (store / "mlruns").rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in (".pkl", ".pt", ".pth", ".bin")]
    code = {path.as_posix().partition("/code/graft/")[2] for path in files} - {""}
    assert {"vision/serving.py", "vision/tasks/classification/predict.py"} <= code
    assert not {"vision/training/loop.py", "vision/contenders/meeting.py"} & code
    mlmodel = mlflow.models.get_model_info("models:/tiny-classification@challenger")
    assert [str(column.type) for column in mlmodel.signature.inputs] == [
        "DataType.binary",
        "DataType.string",
    ]
    assert mlmodel.signature.outputs.input_names() == COLUMNS
    assert str(mlmodel.signature.outputs.inputs[-1].type) == "DataType.string"


@pytest.mark.parametrize("task", TASKS)
def test_package__pins_what_its_code_imports_and_no_more(task: str) -> None:
    served = [*served_code(task).values(), ENTRANCE]
    imported = {name.partition(".")[0] for file in served for name in imported_names(file)}
    foreign = imported - {"graft", *sys.stdlib_module_names}
    packages = {module: name for name, module in REQUIREMENTS.items()}
    pinned = {line.partition("==")[0] for line in requirements(task)}
    assert pinned == {packages[module] for module in foreign} | set(BESIDE)


@pytest.mark.parametrize("name", ["card.json", "model.safetensors"])
def test_package__may_be_read_by_whom_the_umask_allows(
    model: TrainedModel, tmp_path: Path, name: str
) -> None:
    before = os.umask(0o027)
    try:
        model.save(tmp_path / "model")
    finally:
        os.umask(before)
    assert (tmp_path / "model" / name).stat().st_mode & 0o777 == 0o640


DENSE_COLUMNS = {
    "detection": {
        "boxes_xyxy": "Array(Array(double))",
        "classes": "Array(string)",
        "scores": "Array(double)",
    },
    "segmentation": {
        "size_px": "Array(long)",
        "names": "Array(string)",
        "mask_png": "DataType.binary",
        "mask_rle": "Array({counts: Array(long) (required), size: Array(long) (required)})",
    },
}


@pytest.fixture(scope="module")
def dense(store: Path) -> dict[str, ServedCase]:
    """Registered models of the dense tasks, with what they were judged by."""
    cases = {task: lay_case(task, store / task) for task in DENSE_COLUMNS}
    cases["tiled"] = lay_case("segmentation", store / "tiled", fit="tiles")
    for name, case in cases.items():
        dataset = RegisteredModelDataset(f"tiny-{name}", str(store / name / "registered.json"))
        with mlflow.start_run():
            dataset.save(case.model)
    return cases


CLEAN = """
import base64, json, os, sys
import mlflow, pandas as pd
from mlflow.pyfunc.scoring_server import invocations

def plain(table):
    coded = table.map(lambda x: base64.b64encode(x).decode() if isinstance(x, bytes) else x)
    return coded.astype(object).where(coded.notna(), None).to_dict("records")

def answer(model, path):
    columns = model.metadata.signature.outputs.input_names()
    body = {"dataframe_split": {"columns": ["path"], "data": [[path], ["/no.png"]]}}
    if "mask_rle" in columns:
        body["params"] = {"mask_format": "rle"}
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "true"
    schema = model.metadata.get_input_schema()
    said = invocations(json.dumps(body), "application/json", model, schema)
    os.environ["_MLFLOW_IS_IN_SERVING_ENVIRONMENT"] = "false"
    return json.loads(said.response)["predictions"]

mlflow.set_tracking_uri(sys.argv[1])
found = {}
for name in sys.argv[3:]:
    model = mlflow.pyfunc.load_model(f"models:/tiny-{name}@challenger")
    folder = f"{sys.argv[2]}/{name}"
    ids = pd.read_parquet(f"{folder}/test_predictions.parquet")["path"]
    paths = [f"{folder}/files/{path}" for path in ids]
    data = [open(path, "rb").read() for path in paths]
    found[name] = {
        "many": plain(model.predict(pd.DataFrame({"path": [*paths, "/no/such.png"]}))),
        "single": [plain(model.predict(pd.DataFrame({"image": [one]})))[0] for one in data],
        "answer": answer(model, paths[0]),
    }
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def served(
    dense: dict[str, ServedCase], store: Path, foreign_python: Path
) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """What the models say of the files, all in one process, which knows no graft."""
    arguments = [f"sqlite:///{store}/mlflow.db", str(store), *dense]
    command = [foreign_python, "-I", "-c", CLEAN, *arguments]
    done = subprocess.run(command, cwd="/", capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    said: dict[str, dict[str, list[dict[str, Any]]]] = json.loads(done.stdout.splitlines()[-1])
    return said


def words_of(row: dict[str, Any]) -> dict[str, Any]:
    """The words of the predictions file that these columns say."""
    if "boxes_xyxy" in row:
        return {name: row[name] for name in ("boxes_xyxy", "classes", "scores")}
    return {"size_px": row["size_px"], "names": row["names"], "png": row["mask_png"]}


def judged(case: ServedCase) -> list[dict[str, Any]]:
    return [json.loads(text) for text in pd.read_parquet(case.predictions)["prediction"]]


DENSE = ["detection", "segmentation", "tiled"]


@pytest.mark.parametrize("name", DENSE)
def test_model__says_in_a_clean_process_what_was_judged(
    name: str, dense: dict[str, ServedCase], served: dict[str, Any]
) -> None:
    *rows, last = served[name]["many"]
    assert [words_of(row) for row in rows] == judged(dense[name])
    wanted = pd.read_parquet(dense[name].predictions)
    assert [row["score"] for row in rows] == pytest.approx(list(wanted["score"]))
    assert not any(row["error"] for row in rows)
    assert last["error"] == "no file at /no/such.png." and "no file" not in rows[0]["error"]
    assert all(last[column] is None for column in DENSE_COLUMNS.get(name, {}))


def test_detector__says_one_at_a_time_what_it_says_of_many(
    dense: dict[str, ServedCase], served: dict[str, Any]
) -> None:
    for row, words in zip(served["detection"]["single"], judged(dense["detection"]), strict=True):
        assert_alike(row, words)


def assert_alike(row: dict[str, Any], words: dict[str, Any]) -> None:
    """Boxes from a batch of another size, whose sums end in other bits."""
    assert len(row["scores"]) == len(words["scores"]) > 5
    np.testing.assert_allclose(row["scores"], words["scores"], atol=2e-6)
    np.testing.assert_allclose(row["boxes_xyxy"], words["boxes_xyxy"], atol=0.01)


@pytest.mark.parametrize("name", ["segmentation", "tiled"])
def test_segmentation__says_one_at_a_time_what_it_says_of_many(
    name: str, dense: dict[str, ServedCase], served: dict[str, Any]
) -> None:
    for row, words in zip(served[name]["single"], judged(dense[name]), strict=True):
        mask, wanted = decode_mask(row["mask_png"]), decode_mask(words["png"])
        assert mask.shape == (row["size_px"][1], row["size_px"][0])
        assert (mask == wanted).mean() > 0.999
        assert len(np.unique(wanted)) > 1 or wanted.size == 64


def test_request__is_answered_by_boxes_as_lists_and_null_where_there_is_no_image(
    dense: dict[str, ServedCase], served: dict[str, Any]
) -> None:
    good, bad = served["detection"]["answer"]
    assert_alike(good, judged(dense["detection"])[0])
    assert isinstance(good["boxes_xyxy"], list) and isinstance(good["scores"][0], float)
    assert bad["boxes_xyxy"] is bad["scores"] is bad["score"] is None
    assert "no file at /no.png" in bad["error"]


@pytest.mark.parametrize("name", ["segmentation", "tiled"])
def test_request__for_runs_is_answered_as_pycocotools_reads_them(
    name: str, dense: dict[str, ServedCase], served: dict[str, Any]
) -> None:
    good, bad = served[name]["answer"]
    assert good["mask_png"] is bad["mask_png"] is bad["mask_rle"] is None
    mask = decode_mask(judged(dense[name])[0]["png"])
    for number, runs in enumerate(good["mask_rle"]):
        assert runs["size"] == list(mask.shape)
        assert (coco.decode(coco.frPyObjects(runs, *runs["size"])) == (mask == number)).all()
    assert len(good["mask_rle"]) == len(good["names"]) == 3


@pytest.mark.parametrize("task", DENSE_COLUMNS)
def test_signature__types_each_column(task: str, dense: dict[str, ServedCase]) -> None:
    signature = mlflow.models.get_model_info(f"models:/tiny-{task}@challenger").signature
    wanted = {**DENSE_COLUMNS[task], "score": "DataType.double", "error": "DataType.string"}
    found = zip(signature.outputs.input_names(), signature.outputs.input_types(), strict=True)
    assert {name: str(kind) for name, kind in found} == wanted
    params = [(param.name, param.default) for param in (signature.params or ())]
    assert params == ([("mask_format", "png")] if task == "segmentation" else [])


def test_params__other_than_known_are_refused(dense: dict[str, ServedCase]) -> None:
    with pytest.raises(OptionsError, match=r"params: mask_format: .*'png' or 'rle'"):
        answer_images(dense["segmentation"].model, [], {"mask_format": "jpeg"})


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1 << 20))
def test_runs__read_by_pycocotools_are_the_mask(height: int, width: int, seed: int) -> None:
    mask = np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)
    for number, runs in enumerate(runs_of(mask, 4)):
        assert runs["size"] == [height, width]
        assert (coco.decode(coco.frPyObjects(runs, height, width)) == (mask == number)).all()


def test_registering__an_equal_model_again_changes_nothing(
    store: Path, model: TrainedModel, registered: dict[str, Any]
) -> None:
    slower = TrainedModel(model.card.model_copy(update={"minutes": 99.0}), model.module, model.task)
    assert register(store, slower) == registered


def test_registering__speaks_only_where_something_is_wrong(
    store: Path, model: TrainedModel, capfd: pytest.CaptureFixture[str]
) -> None:
    warmer = model.card.model_copy(update={"temperature": 2.0})
    record = register(store, TrainedModel(warmer, model.module, model.task))
    assert record["version"] != "1"
    assert capfd.readouterr() == ("", "")
    register(store, model)  # the challenger that other tests ask for


def test_registering__keeps_card_and_reports_with_its_run(
    store: Path, registered: dict[str, Any]
) -> None:
    client = mlflow.MlflowClient()
    version = client.get_model_version("tiny-classification", registered["version"])
    assert version.tags["contender"] == "fine_tuned"
    kept = {
        Path(file.path).name for file in client.list_artifacts(version.run_id, "classification")
    }
    assert kept == {"model_card.json", "report.html"}


def test_model__decodes_images_as_it_predicts_them(model: TrainedModel, images: list[Path]) -> None:
    asked: list[int] = []

    def stream() -> Iterator[bytes]:
        for number in range(40):
            asked.append(number)
            yield images[0].read_bytes()

    class Watched(TrainedModel):
        def outputs(self, images: Any, batch_size: int = 16) -> Any:
            first = next(iter(images))
            assert len(asked) == 1
            return super().outputs([first, *images], batch_size)

    watched = Watched(model.card, model.module, model.task)
    assert len(predict_images(watched, stream())) == 40
    assert predict_images(model, [b""])["error"][0] == "the file is empty."


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_model__says_the_same_however_many_images_it_holds(
    model: TrainedModel, images: list[Path], monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    given = [None, images[0], b"", images[1], images[2], images[0], None]
    whole = predict_images(model, given)
    monkeypatch.setattr("graft.vision.serving.images_at_once", lambda view: at_once)
    pd.testing.assert_frame_equal(predict_images(model, given), whole)
    assert len(predict_images(model, [None])) == 1
    assert list(predict_images(model, []).columns) == COLUMNS


def test_images__may_come_as_open_bytes(model: TrainedModel) -> None:
    buffer = io.BytesIO()
    Image.new("L", (40, 40), 200).save(buffer, "PNG")
    assert predict_images(model, [buffer.getvalue(), None])["error"].tolist()[0] == ""


def test_served_folder__is_all_that_a_path_may_name(
    images: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    served = tmp_path / "served"
    served.mkdir()
    inside = served / "0.jpg"
    inside.write_bytes(images[0].read_bytes())
    (served / "link.jpg").symlink_to(images[1])
    (served / "circle").symlink_to("circle")
    ways_out = ["link.jpg", "../served.jpg", "circle/0.jpg", "a\0b", str(images[0])]
    paths = [str(inside), *(str(served / way) for way in ways_out)]
    monkeypatch.setenv("GRAFT_SERVED_FOLDER", str(served))
    good, *refused = serving._images(pd.DataFrame({"path": paths}))
    assert good == inside
    assert {str(error).partition(";")[0] for error in refused} == {
        "the path lies outside the served folder"
    }
