"""A real process, killed at moments that nobody chose, loses no bit."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

SCRIPT = Path(__file__).with_name("killed_training.py")
KILLS = 3


def start(*paths: Path) -> subprocess.Popen[str]:
    """A training that has just begun; a fresh process, for a forked one inherits torn threads."""
    command = [sys.executable, str(SCRIPT), *map(str, paths)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def test_training__killed_by_the_system_again_and_again_ends_bit_for_bit_the_same(
    tmp_path: Path,
) -> None:
    pixels, checkpoint = tmp_path / "pixels", tmp_path / "c.safetensors"
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    first = start(pixels, whole)
    started = time.monotonic()
    assert first.wait(timeout=120) == 0
    length = time.monotonic() - started
    rng, killed, stayed = random.Random(0), 0, []
    for _ in range(KILLS):
        process = start(pixels, resumed, checkpoint)
        time.sleep(rng.uniform(0.1, 0.5) * length)
        process.kill()
        killed += process.wait(timeout=60) != 0
        stayed.append(checkpoint.exists())
    assert start(pixels, resumed, checkpoint).wait(timeout=120) == 0
    assert killed >= 2, "too few were killed to tell"
    assert any(stayed), "no kill came after the first checkpoint"
    digest, history = json.loads(whole.read_text())
    assert json.loads(resumed.read_text()) == [digest, history]
    assert len(history) == 16
