"""Bad input anywhere ends in one clear message, exit code not 0, and nothing lost.

Here the command line runs in this process, where it costs a second or two a time; what needs real
processes (signals, mounts) stands in test_faults.py.
"""

import hashlib
import os
import resource
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from kedro.framework.cli.cli import KedroCLI
from test_whole_road import copy_project, draw_images

from graft.vision.features import GRAPHS

RAW, CASE = "data/01_raw/tiny", "tiny/classification"
OVERLAY = "parameters/classification.yml"
Kedro = Callable[..., tuple[int, str]]


@pytest.fixture(autouse=True)
def untouched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Runs set signals and MLflow's address for their process, which here is that of the tests."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose tiny case has run as far as its probe."""
    project = copy_project(tmp_path_factory.mktemp("made"))
    draw_images(project / RAW, images=8)
    here = Path.cwd()
    os.chdir(project)
    try:
        with pytest.raises(SystemExit) as end:
            KedroCLI(project).main(["run", "--env", "tiny", "--to-outputs", "classification.probe"])
    finally:
        os.chdir(here)
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    assert end.value.code == 0
    return project


@pytest.fixture
def kedro(made: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Kedro:
    """Run a command in the project; the exit code, and all that was said."""
    monkeypatch.chdir(made)

    def call(*arguments: str) -> tuple[int, str]:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
        capfd.readouterr()
        with pytest.raises(SystemExit) as end:
            KedroCLI(made).main(["run", "--env", "tiny", *arguments])
        said = capfd.readouterr()
        return int(end.value.code or 0), said.out + said.err

    return call


def digests(project: Path) -> dict[str, str]:
    files = [path for path in sorted((project / "data").rglob("*")) if path.is_file()]
    kept = [path for path in files if path.name != "lock"]
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in kept}


@contextmanager
def replaced(path: Path, text: str | None) -> Iterator[None]:
    """A file with other text (None: away), and back again."""
    before = path.read_bytes() if path.exists() else None
    path.unlink(missing_ok=True)
    if text is not None:
        path.write_text(text)
    yield
    path.unlink(missing_ok=True)
    if before is not None:
        path.write_bytes(before)


@contextmanager
def moved(path: Path) -> Iterator[None]:
    """A file or folder out of the way; what took its place goes when it comes back."""
    away = path.with_name(f".{path.name}.away")
    path.rename(away)
    yield
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    away.rename(path)


def assert_one_message(ended: tuple[int, str], *parts: str) -> None:
    code, said = ended
    assert code == 1, said
    assert "Traceback" not in said
    told = [line for line in said.splitlines() if line and not line.startswith(("case ", "["))]
    assert len(told) == 1, told
    assert told[0].startswith("Error: ") and "next: " in told[0]
    for part in parts:
        assert part in told[0]


INGEST = ("--pipelines", "ingestion")


def test_run__without_a_raw_folder(made: Path, kedro: Kedro) -> None:
    before = digests(made)
    with moved(made / RAW):
        assert_one_message(kedro(*INGEST), f"no raw data at {RAW}", "found: no such folder")
        (made / RAW).write_text("a file")
        assert_one_message(kedro(*INGEST), "found: a file", "`kedro case create tiny --data PATH`")
    assert digests(made) == before
    assert kedro(*INGEST)[0] == 0


def test_run__on_an_empty_folder(made: Path, kedro: Kedro) -> None:
    before = digests(made)
    with moved(made / RAW):
        (made / RAW).mkdir()
        assert_one_message(kedro(*INGEST), f"no image with a label found in {RAW}")
        (made / RAW / "class_0").mkdir()
        assert_one_message(kedro(*INGEST), "class folder class_0 holds no image")
    assert digests(made) == before


def test_run__on_images_of_one_class(made: Path, kedro: Kedro) -> None:
    with moved(made / RAW / "class_1"), moved(made / RAW / "class_2"):
        assert_one_message(kedro(*INGEST), "fewer than two classes are left to learn")


def test_run__on_broken_images_only(made: Path, kedro: Kedro) -> None:
    with moved(made / RAW):
        (made / RAW / "a").mkdir(parents=True)
        for number in range(3):
            (made / RAW / f"a/{number}.png").write_bytes(b"no image %d" % number)
        ended = kedro(*INGEST)
    assert_one_message(ended, f"3 of 3 images in {RAW}", "a/0.png: not an image", "raise the share")


@pytest.mark.parametrize(
    ("file", "text", "parts"),
    [
        ("globals.yml", "case: tiny\nrow: x\n", ["globals.yml: unknown key 'row'", "'raw'?"]),
        ("globals.yml", "case: tiny\nraw:\n", ["globals.yml: raw; found: None"]),
        ("globals.yml", "case: [1]\nraw: a\n", ["experiment: Input should be a valid string"]),
        ("mlflow.yml", "tracking_url: x\n", ["mlflow.yml", "did you mean 'tracking_uri'?"]),
        ("mlflow.yml", "tracking_uri: ./runs\n", ["cannot keep runs at './runs'"]),
        ("mlflow.yml", "experiment: ${globals:kase}\n", ["conf cannot be read: ", "'kase'"]),
        (
            OVERLAY,
            "clasification: {}\n",
            ["did you mean 'classification'?"],
        ),
        (
            OVERLAY,
            "classification: {probin: {}}\n",
            ["did you mean 'probing'?"],
        ),
        (
            OVERLAY,
            "classification: {probing: 3}\n",
            ["probing: must hold settings"],
        ),
        (
            OVERLAY,
            "classification: {probing: }\n",
            ["probing: holds nothing"],
        ),
        (
            OVERLAY,
            "classification: {ingestion: {split: {tst_share: 1}}}\n",
            ["parameters: classification.ingestion.split: unknown key", "'test_share'?"],
        ),
        (
            OVERLAY,
            "classification: {fine_tuning: {epochs: many, batch_size: 1.5}}\n",
            ["fine_tuning.epochs: Input should be a valid integer, found 'many'", "found 1.5"],
        ),
        (
            OVERLAY,
            "classification: {a: 1\n b",
            ["classification.yml, unable to read"],
        ),
        (OVERLAY, "- a\n", ["conf cannot be read: ", "`name: value`"]),
        ("catalog.yml", "raw: {type: graft.none.X}\n", ["conf catalog: ", "'graft.none'"]),
    ],
)
def test_run__refuses_what_conf_says_in_vain(
    made: Path, kedro: Kedro, file: str, text: str, parts: list[str]
) -> None:
    before = digests(made)
    with replaced(made / "conf/tiny" / file, text):
        assert_one_message(kedro(), *parts)
    assert digests(made) == before


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--params", "classification.fine_tuning.epoch=3"], ["did you mean 'epochs'?"]),
        (["--params", "clasification.seed=3"], ["did you mean 'classification'?"]),
        (["--env", "tinny"], ["no case 'tinny' (did you mean 'tiny'?)", "kedro case create"]),
        (["--pipelines", "fine_tunning"], ["'fine_tunning'", "fine_tuning"]),
        (["--nodes", "fine_tune"], ["'classification.fine_tune'"]),
        (["--tags", "gpuu"], ["no nodes"]),
        (["--runner", "NoRunner"], ["NoRunner"]),
    ],
)
def test_run__refuses_what_the_command_line_names_in_vain(
    kedro: Kedro, arguments: list[str], parts: list[str]
) -> None:
    assert_one_message(kedro(*arguments), *parts)


def test_run__means_the_projects_folders_wherever_the_user_stands(
    made: Path, kedro: Kedro, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made / "conf")
    assert kedro(*INGEST)[0] == 0
    assert not (made / "conf/data").exists()


@pytest.mark.parametrize(
    ("more", "content", "part"),
    [
        ("", None, "no weight file at "),
        (
            "",
            b"\x40\x00",
            "cannot be read as tensors and nothing else; found: a damaged or foreign",
        ),
        ("", b"text, long enough to be a header", "cannot be read as tensors and nothing else"),
        (f", sha256: {'a' * 64}", b"text", "is not the weight file it should be; found: SHA-256"),
    ],
)
def test_run__refuses_a_weight_file(
    made: Path, kedro: Kedro, more: str, content: bytes | None, part: str
) -> None:
    before = digests(made)
    path = made / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    text = f"classification: {{backbone: {{weights: {path}, licence: MIT{more}}}}}\n"
    with replaced(made / "conf/tiny" / OVERLAY, text):
        ended = kedro("--pipelines", "augmentation")
    path.unlink(missing_ok=True)
    assert_one_message(ended, str(path), part)
    assert digests(made) == before


def test_run__refuses_a_weight_file_that_could_run_code(made: Path, kedro: Kedro) -> None:
    import pickle

    (made / "w.pt").write_bytes(pickle.dumps({"a": print}))
    text = f"classification: {{backbone: {{weights: {made}/w.pt, licence: MIT}}}}\n"
    with replaced(made / "conf/tiny" / OVERLAY, text):
        ended = kedro("--pipelines", "augmentation")
    assert_one_message(ended, "a pickle that holds more than tensors", "convert it to safetensors")


def test_run__refuses_weights_of_another_architecture(made: Path, kedro: Kedro) -> None:
    weights = made / "data/06_models" / CASE / "probe/model.safetensors"
    text = f"classification: {{backbone: {{weights: {weights}, licence: MIT}}}}\n"
    with replaced(made / "conf/tiny" / OVERLAY, text):
        ended = kedro("--pipelines", "augmentation")
    assert_one_message(ended, "does not fit tf_efficientnet_lite0", "backbone.name")


def test_run__needs_what_comes_before(made: Path, kedro: Kedro) -> None:
    needed = made / "data/03_primary" / CASE / "class_table.json"
    with moved(needed):
        assert_one_message(kedro("--pipelines", "probing"), f"{needed} is not there")
    assert_one_message(kedro("--pipelines", "registration"), "chosen_model is not there")


@pytest.mark.parametrize(
    ("name", "pipeline"),
    [
        ("03_primary/tiny/classification/split_manifest.parquet", "feature_extraction"),
        ("03_primary/tiny/classification/class_table.json", "feature_extraction"),
        ("06_models/tiny/classification/probe/model.safetensors", "fine_tuning"),
        ("06_models/tiny/classification/probe/card.json", "fine_tuning"),
    ],
)
def test_run__names_a_damaged_output_of_an_earlier_run(
    made: Path, kedro: Kedro, name: str, pipeline: str
) -> None:
    path = made / "data" / name
    whole = path.read_bytes()
    changed = bytearray(whole)
    changed[20] ^= 0x80
    path.write_bytes(changed)
    ended = kedro("--pipelines", pipeline)
    path.write_bytes(whole)
    told = "is damaged" if "03" in name else f"{path.name} changed, missing or added"
    assert_one_message(ended, told, "run the whole pipeline again")


@pytest.mark.parametrize(
    ("store", "reader", "maker"),
    [
        ("02_intermediate/pixels", "augmentation", "ingestion"),
        ("04_feature/store", "probing", "feature_extraction"),
    ],
)
def test_run__names_a_damaged_store_and_builds_it_again(
    made: Path, kedro: Kedro, store: str, reader: str, maker: str
) -> None:
    found = (made / "data" / store).glob("*/*.bin")
    (shard,) = (path for path in found if path.parent.name != GRAPHS)
    shard.write_bytes(bytes(byte ^ 1 for byte in shard.read_bytes()))
    ended = kedro("--pipelines", reader)
    named = f"{store}/{shard.parent.name}/{shard.name} is damaged"
    assert_one_message(ended, named, "next: run the whole pipeline again")
    assert kedro("--pipelines", maker)[0] == 0
    assert kedro("--pipelines", reader)[0] == 0


def test_run__on_a_full_disk_loses_nothing(made: Path, kedro: Kedro) -> None:
    """The kernel refuses to let files grow, at ever later writes, until all of them fit."""
    shutil.rmtree(made / "data/02_intermediate/pixels")
    before = digests(made)
    places = set()
    for limit in (1_000, 20_000, 60_000):
        with file_size_limit(made, limit):
            code, said = kedro(*INGEST)
        if code:
            assert_one_message((code, said), "files may not grow as large as needed", "ulimit -f")
            places.add(said.rpartition("Error: ")[2].partition(": ")[0])
        kept = digests(made)
        assert {path: kept[path] for path in before} == before
        assert not [path for path in kept if ".part-" in path]
    assert places
    assert kedro(*INGEST)[0] == 0


@contextmanager
def file_size_limit(project: Path, most: int) -> Iterator[None]:
    """Files may not grow beyond this; MLflow's database lies elsewhere and is larger already."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with replaced(project / "conf/tiny/mlflow.yml", "tracking_uri: 'sqlite://'\n"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_run__with_a_database_that_is_damaged_or_locked(made: Path, kedro: Kedro) -> None:
    before = digests(made)
    with moved(made / "mlflow.db"):
        (made / "mlflow.db").write_text("no database " * 100)
        assert_one_message(kedro(*INGEST), f"{made}/mlflow.db: it is damaged", "bring a copy back")
    with closing(sqlite3.connect(made / "mlflow.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert_one_message(kedro(*INGEST), "another process holds it", "wait for that process")
    assert digests(made) == before
    assert kedro(*INGEST)[0] == 0


def test_run__with_a_dead_server_goes_on_and_is_told_of_later(
    made: Path, kedro: Kedro, caplog: pytest.LogCaptureFixture
) -> None:
    with replaced(made / "conf/tiny/mlflow.yml", "tracking_uri: http://127.0.0.1:9\n"):
        code, _ = kedro(*INGEST)
    said = caplog.text
    assert code == 0 and "Traceback" not in said
    assert "http://127.0.0.1:9: it does not answer" in said and "Connection refused" in said
    assert said.count("Its records wait in ") == 1
    before = statuses(made)
    os.environ.pop("MLFLOW_TRACKING_URI", None)
    with pytest.raises(SystemExit) as end:
        KedroCLI(made).main(["model", "deliver", "--env", "tiny", "--moved"])
    assert end.value.code == 0, caplog.text
    assert statuses(made) == [*before, "FINISHED"]
    assert not list((made / "data/09_tracking").glob("*-*"))


def test_run__that_is_told_to_stop_reads_killed(
    made: Path, kedro: Kedro, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*arguments: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    monkeypatch.setattr("graft.vision.data.manifest.build_manifest", stop)
    code, said = kedro(*INGEST)
    assert code == 128 + signal.SIGTERM
    assert "Stopped by SIGTERM. What is finished is kept; next: " in said
    assert "Traceback" not in said
    monkeypatch.undo()
    monkeypatch.chdir(made)
    assert kedro(*INGEST)[0] == 0
    assert statuses(made)[-2:] == ["KILLED", "FINISHED"]


def test_run__keeps_the_traceback_of_a_fault_of_grafts_own(
    made: Path, kedro: Kedro, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise TypeError("a bug")

    monkeypatch.setattr("graft.vision.data.manifest.build_manifest", fail)
    monkeypatch.chdir(made)
    with pytest.raises(TypeError, match="a bug"):
        KedroCLI(made).main(["run", "--env", "tiny", *INGEST])
    assert statuses(made)[-1] == "FAILED"


def statuses(project: Path) -> list[str]:
    with closing(sqlite3.connect(project / "mlflow.db")) as database:
        rows = database.execute("SELECT status FROM runs ORDER BY start_time").fetchall()
    return [str(status) for (status,) in rows]
