"""The walk of docs/retraining.md, command by command, in a fresh clone."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = "day_and_night-classification"


def commands() -> list[str]:
    text = (ROOT / "docs/retraining.md").read_text()
    walk = text[text.index("## A walk") : text.index("## What it looks for")]
    return [
        line for block in re.findall(r"```sh\n(.*?)```", walk, re.S) for line in block.split("\n")
    ]


@pytest.mark.slow
def test_walk__by_day_by_night_and_poisoned(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", str(ROOT), str(clone)], check=True)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(clone / "src"),
        **{f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER")
           for what in ("NAME", "EMAIL")},
    }  # fmt: skip
    said: dict[str, str] = {}
    for command in commands():
        done = subprocess.run(
            command, shell=True, cwd=clone, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}{done.stderr[-2000:]}"
        said[command] = said.get(command, "") + done.stdout
    retrained = said["kedro retrain --env day_and_night"]
    assert "Nothing has changed" in retrained and "do not look like the known ones" in retrained
    assert f"{MODEL}: promoted" in retrained
    held = said["kedro retrain --env day_and_night || test $? -eq 4"]
    assert f"{MODEL}: held" in held and "copies of known ones" in held
    assert said[f"kedro model audit {MODEL}"].count("all holds") == 2
    lines = (clone / f"data/09_ledger/{MODEL}.jsonl").read_text().splitlines()
    actions = [json.loads(line)["action"] for line in lines]
    assert actions == ["promote", "promote", "promote", "promote", "hold_batch"]
