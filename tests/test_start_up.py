"""What a command imports before it has anything to compute: no timing, the modules alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from copied_projects import copy_code

ROOT = Path(__file__).resolve().parents[1]
KEDRO = Path(sys.executable).with_name("kedro")
COMPUTING = {"torch", "torchvision", "timm", "albumentations", "openvino", "sklearn"}
HEAVY = {*COMPUTING, "mlflow", "pandas"}
LOOK = """
import sys
import graft.adapters.retraining.looking, graft.adapters.retraining.retraining
import graft.adapters.retraining.watching
print(*sys.modules)
"""


def imported(lines: str) -> set[str]:
    """The packages that a process told of by ``-X importtime``."""
    told = (line.rsplit("|", 1)[1] for line in lines.splitlines() if line.startswith("import time"))
    return {name.strip().partition(".")[0] for name in told}


def told_by(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-X", "importtime", str(KEDRO), *command]
    return subprocess.run(words, cwd=project, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(
    "command",
    [
        ("--help",),
        ("registry", "list"),
        ("run", "--help"),
        ("model", "--help"),
        ("model", "history", "--help"),
        ("retrain", "--print-cron", "0 3 * * *"),
    ],
    ids=" ".join,
)
def test_command__that_only_tells_imports_nothing_heavy(command: tuple[str, ...]) -> None:
    done = told_by(ROOT, *command)
    assert done.returncode == 0, done.stderr[-2000:]
    found = imported(done.stderr)
    assert "graft" in found
    assert not found & HEAVY


def test_run__imports_no_framework_before_its_first_step(tmp_path: Path) -> None:
    """Nor at all where its steps need none: here the first one finds nothing usable."""
    copy_code(tmp_path)
    images = tmp_path / "data/01_raw/hymenoptera/ants"
    images.mkdir(parents=True)
    (images / "none.jpg").write_bytes(b"no image")
    done = told_by(tmp_path, "run", "--env", "hymenoptera", "--pipelines", "ingestion")
    assert "read_manifest ..." in done.stderr, done.stderr[-2000:]
    assert done.returncode == 1 and "next: " in done.stderr
    found = imported(done.stderr)
    assert "mlflow" in found and not found & COMPUTING


def test_retrain__looks_for_reasons_without_a_framework() -> None:
    done = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, cwd=ROOT)
    assert not {*done.stdout.split()} & {*COMPUTING, "mlflow"}, done.stderr
    assert "graft.adapters.retraining.looking" in done.stdout
