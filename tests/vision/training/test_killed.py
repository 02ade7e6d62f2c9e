"""A real process, killed at moments that nobody chose, loses no bit."""

import json
import signal
import subprocess
import sys
from pathlib import Path


def test_training__killed_by_the_system_again_and_again_ends_bit_for_bit_the_same(
    tmp_path: Path,
) -> None:
    script = Path(__file__).with_name("killed_training.py")
    command = [sys.executable, str(script), str(tmp_path), "4"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["signals"].count(-signal.SIGKILL) >= 2, "too few were killed to tell"
    assert any(told["stayed"]), "no kill came after the first checkpoint"
    digest, history = told["whole"]
    assert told["resumed"] == [digest, history]
    assert len(history) == 16
