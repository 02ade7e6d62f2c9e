"""What a command costs before it has anything to compute, in CPU seconds of its process.

Usual: plain Kedro in a project that holds one node and nothing else; for `kedro model history`, and
for MLflow's share of a run, the same questions put to MLflow's client alone. Ours: this project, in
a copy. Bytecode is cached, as it is from the second call on.

    python -m bench.start_up
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import Measure, Say, row

ROOT = Path(__file__).resolve().parents[1]
KEDRO = str(Path(sys.executable).with_name("kedro"))
ROUNDS = 3
MODEL = "hymenoptera-classification"
PLAIN = {
    "pyproject.toml": '[tool.kedro]\npackage_name = "plain"\nproject_name = "plain"\n'
    'kedro_init_version = "1.7.0"\nsource_dir = "src"\n',
    "conf/base/catalog.yml": "",
    "conf/local/catalog.yml": "",
    "src/plain/__init__.py": "",
    "src/plain/settings.py": "",
    "src/plain/pipeline_registry.py": "from kedro.pipeline import Node, Pipeline\n\n\n"
    "def one():\n    return 1\n\n\n"
    "def register_pipelines():\n"
    '    return {"__default__": Pipeline([Node(one, None, "answer", name="one")])}\n',
}
ASK = f"""
import sys, mlflow
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1])
client = mlflow.MlflowClient()
client.get_experiment_by_name("hymenoptera")
client.get_registered_model("{MODEL}")
"""
CREATE = f"""
import sys, mlflow
mlflow.set_tracking_uri("sqlite:///" + sys.argv[1])
mlflow.MlflowClient().create_registered_model("{MODEL}")
"""


def measure(say: Say) -> dict[str, Measure]:
    """All measures by name: ours, usual (null where there is none), ratio, unit, what."""
    with tempfile.TemporaryDirectory(prefix="graft-start-up-") as name:
        ours, plain = _lay_ours(Path(name) / "graft"), _lay_plain(Path(name) / "plain")
        return {
            "help": _pair("kedro --help", (ours, ["--help"]), (plain, ["--help"]), say),
            "registry_list": _pair(
                "kedro registry list", (ours, ["registry", "list"]), (plain, ["registry", "list"]),
                say,
            ),
            "first_step": _pair(
                "kedro run, until its first step begins", (ours, ["run", "--env", "hymenoptera"]),
                (plain, ["run"]), say, until=("[ 1/", "Running node: one"),
            ),
            "print_cron": _pair(
                "kedro retrain --print-cron", (ours, ["retrain", "--print-cron", "0 3 * * *"]),
                None, say,
            ),
            "history": _pair(
                "kedro model history; usual: MLflow alone", (ours, ["model", "history", MODEL]),
                (ours, None), say,
            ),
        }  # fmt: skip


Asked = tuple[Path, Sequence[str] | None]


def _pair(
    what: str, ours: Asked, usual: Asked | None, say: Say, until: tuple[str, str] = ("", "")
) -> Measure:
    """The least of some rounds each, one beside the other; the first call fills caches."""
    sides = {"ours": (ours, until[0])} | ({"usual": (usual, until[1])} if usual else {})
    found: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(ROUNDS + 1):
        for name, (asked, word) in sides.items():
            seconds = _cpu_seconds(asked, word)
            if turn:
                found[name].append(seconds)
    best = {name: min(seconds) for name, seconds in found.items()}
    mine, theirs = best["ours"], best.get("usual")
    say(f"{what:45s}{mine:6.2f} CPU s" + (f", usual {theirs:.2f}" if theirs else ""))
    return row(mine, theirs, "CPU s", what)


def _cpu_seconds(asked: Asked, until: str) -> float:
    """Of a command and what it waited for; it is ended when a line of it has these words."""
    project, words = asked
    command = [sys.executable, "-c", ASK, "mlflow.db"] if words is None else [KEDRO, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    running = subprocess.Popen(
        command, cwd=project, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert running.stdout is not None
    said = ""
    for line in running.stdout:
        said += line
        if until and until in line:
            os.kill(running.pid, signal.SIGKILL)
            break
    running.stdout.close()
    _, status, used = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    if (until and until not in said) or (not until and running.returncode != 0):
        raise RuntimeError(f"{' '.join(command)} ended otherwise than asked:\n{said[-2000:]}")
    return used.ru_utime + used.ru_stime


def _lay_ours(folder: Path) -> Path:
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignored)
    for name in ("pyproject.toml", "requirements.lock", ".telemetry"):
        shutil.copy(ROOT / name, folder)
    _cpu_seconds((folder, ["run", "--env", "hymenoptera"]), "[ 1/")  # it makes MLflow's store
    subprocess.run([sys.executable, "-c", CREATE, "mlflow.db"], cwd=folder, check=True)
    return folder


def _lay_plain(folder: Path) -> Path:
    for name, text in PLAIN.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(ROOT / ".telemetry", folder)
    return folder


if __name__ == "__main__":
    measure(print)
