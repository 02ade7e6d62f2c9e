"""A mutation fuzz of all readers of files: images, DICOM, masks, XML, JSON, YAML, tables, lists.

Each input is read in a child process, for `fuzzed_readers.LIMIT_S` at the most and within a bound
of memory. Whatever is raised but an error of our own is a fault, and so is an odd file of one image
that stops or changes the others. Without options it runs for `SECONDS` by `SEED`, so that what
passes once passes again; ``make fuzz`` looks for new faults, for ten minutes by a seed of its own.
``GRAFT_FUZZ_S=60 GRAFT_FUZZ_SEED=x`` goes by a seed that a fault has named. A single step is done
again by ``python tests/faults/fuzzed_readers.py FOLDER SEED 0 STEP``.
"""

import json
import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SEED = "graft"
SECONDS = 60
MEANT = 300
"""Inputs that are read in this time on a machine of which others take the most."""
HERE = Path(__file__).parent


def fuzz(folder: Path, seed: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run the fuzz in a folder."""
    tests = os.pathsep.join([str(HERE.parents[1] / "src"), str(HERE.parent)])
    return subprocess.run(
        [sys.executable, str(HERE / "fuzzed_readers.py"), str(folder), seed, str(seconds)],
        env={**os.environ, "PYTHONPATH": tests},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=seconds + 120,
        check=False,
    )


@pytest.fixture
def seeds(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder for the fuzz, with the bad images as further seeds where they are."""
    try:
        real = Path(request.getfixturevalue("real_data"))
    except pytest.skip.Exception:
        return tmp_path
    for path in (real / "bad_images").rglob("*"):
        if path.is_file():
            (tmp_path / "seeds").mkdir(exist_ok=True)
            shutil.copyfile(path, tmp_path / "seeds" / f"{path.parent.name}_{path.name}")
    return tmp_path


def test_readers__survive_whatever_is_done_to_their_files(
    seeds: Path, record_property: Callable[[str, object], None]
) -> None:
    seed = os.environ.get("GRAFT_FUZZ_SEED", SEED) or secrets.token_hex(4)
    seconds = float(os.environ.get("GRAFT_FUZZ_S", SECONDS))
    print(f"fuzz seed {seed}, inputs below {seeds}")
    record_property("fuzz_seed", seed)
    done = fuzz(seeds, seed, seconds)
    at = f"seed {seed}, step {(seeds / 'step').read_text()}, input {seeds / 'input'}"
    assert done.returncode == 0, f"the reader died or hung: {at}\n{done.stderr[-3000:]}"
    *faults, told = [json.loads(line) for line in done.stdout.splitlines()]
    print(f"{told['steps']} inputs, peak {told['peak_mb']} MB: {told['kinds']}")
    lines = [f"{fault['input']} (step {fault['step']}): {fault['fault']}" for fault in faults]
    assert not faults, f"seed {seed}\n" + "\n".join(lines)
    assert told["steps"] >= MEANT * min(1, seconds / SECONDS)


PLANTED = """
import ctypes, time
from pathlib import Path
import fuzzed_readers

def raises(): raise KeyError("planted")
def grows(): fuzzed_readers.held = b"x" * (150 << 20)
def hangs(): time.sleep(60)
def dies(): ctypes.string_at(0)

def step(fuzz, number):
    if number == 3:
        {plant}()

fuzzed_readers.LIMIT_S = 5.0
fuzzed_readers.Fuzz.step = step
fuzzed_readers.main(Path({folder!r}), "planted", 600, {only})
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "status"), [("raises", 0), ("grows", 0), ("hangs", 1), ("dies", -11)]
)
def test_fuzz__names_what_is_planted(tmp_path: Path, plant: str, status: int) -> None:
    code = PLANTED.format(plant=plant, folder=str(tmp_path), only=3)
    tests = os.pathsep.join([str(HERE.parents[1] / "src"), str(HERE.parent), str(HERE)])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": tests},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == status, done.stderr[-2000:]
    assert (tmp_path / "step").read_text() == "3"
    if status == 0:
        fault = json.loads(done.stdout.splitlines()[0])
        assert fault["step"] == 3 and fault["seed"] == "planted"
        assert {"raises": "KeyError", "grows": "memory grew by"}[plant] in fault["fault"]
    else:
        assert f"in {plant}" in done.stderr
