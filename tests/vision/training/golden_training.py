"""A tiny fixed training of each task, and the numbers that it gave on each class of machine.

python tests/vision/training/golden_training.py            says what differs, and writes nothing
python tests/vision/training/golden_training.py --bless    writes what this class of machine gives
"""

import argparse
import hashlib
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

import torch
from learning_scenes import lay_learning_scenes
from tiny_training import new_training

from graft.vision.backbones.weights import digest_state
from graft.vision.runtime import machine_record
from graft.vision.tasks import TASKS
from graft.vision.training.loop import Training

GOLDEN = Path(__file__).parents[2] / "golden" / "training.json"
COMMAND = "python tests/vision/training/golden_training.py --bless"
OPTIONS = {
    "epochs": 2,
    "batch_size": 4,
    "precision": "fp32",
    "learning_rate": 1e-3,
    "ema_decay": 0.9,
    "workers": 0,
}
LIBRARIES = ("albumentations", "numpy", "opencv-python-headless", "timm", "torchvision")
LIMIT = 1e-3
"""Of a loss: what other classes of machine may differ by. It is never raised."""

Step = list[str]
"""The loss as a hexadecimal float, and the first half of the digest of all weights after it."""
Trace = list[Step]


def trace_of(name: str, meddle: Callable[[int, Training], None] | None = None) -> Trace:
    """What each step of the training of a task gives; ``meddle`` is called before each, from 1."""
    with tempfile.TemporaryDirectory() as folder:
        training = new_training(lay_learning_scenes(name, Path(folder) / "pixels"), **OPTIONS)
        own, found = training.steps.step, list[Step]()

        def step(*given: Any) -> None:
            if meddle:
                meddle(len(found) + 1, training)
            own(*given)
            loss = training.steps.losses[-1]
            found.append([loss.hex(), digest_state(training.model.state_dict())[:32]])

        training.steps.step = step  # type: ignore[method-assign]
        history = training.run().history
    kept = history.drop(columns=["seconds", "images_per_s"]).to_json()
    return [*found, ["history", hashlib.sha256(kept.encode()).hexdigest()[:32]]]


def class_of_machine() -> dict[str, Any]:
    """What decides whether the numbers can be the same to the last bit."""
    return {
        "machine": machine_record(),
        "libraries": {name: version(name) for name in LIBRARIES},
    }


def first_difference(wanted: Trace, found: Trace) -> str | None:
    """The first step that is not the same, in words; None where all are."""
    if len(wanted) != len(found):
        return f"{len(found) - 1} steps, golden: {len(wanted) - 1}"
    for number, (one, other) in enumerate(zip(wanted, found, strict=True), 1):
        if one != other:
            what = f"step {number} of {len(wanted) - 1}" if number < len(wanted) else "the history"
            return f"{what}: {_told(other)}, golden: {_told(one)}"
    return None


def _told(step: Step) -> str:
    loss = step[0] if step[0] == "history" else f"a loss of {float.fromhex(step[0])!r}"
    return f"{loss}, weights {step[1][:12]}"


def distance(wanted: Trace, found: Trace) -> float:
    """The largest relative difference between losses."""
    pairs = [
        (float.fromhex(a), float.fromhex(b))
        for (a, _), (b, _) in zip(wanted[:-1], found[:-1], strict=True)
    ]
    return max(abs(a - b) / abs(a) for a, b in pairs)


def read(file: Path) -> dict[str, Any]:
    """The golden file; without one, no numbers and the limit of this module."""
    empty = {"limit": LIMIT, "records": []}
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else empty
    return found


def record_here(golden: Mapping[str, Any]) -> dict[str, Any] | None:
    """What stands for this class of machine."""
    here = class_of_machine()
    alike = [r for r in golden["records"] if {k: r[k] for k in here} == here]
    return alike[0] if alike else None


def bless(file: Path, traces: Mapping[str, Trace], limit: float) -> str:
    """Write numbers for this class of machine, and say what that changed.

    Numbers of other classes stay while they lie within the limit of these: they are of the same
    training. A limit that is higher than the one in force is refused.
    """
    golden = read(file)
    if limit > golden["limit"]:
        raise SystemExit(f"refused: a limit of {limit:g} is looser than {golden['limit']:g}")
    own = record_here(golden)
    others = [r for r in golden["records"] if r is not own]
    near = [r for r in others if _worst(r["steps"], traces) <= limit]
    made = {**class_of_machine(), "seed": 0, "command": COMMAND, "steps": dict(traces)}
    told = {"limit": limit, "records": [*near, made]}
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(told, indent=1) + "\n")
    return f"blessed; {len(others) - len(near)} other classes were of another training, and left"


def _worst(wanted: Mapping[str, Trace], found: Mapping[str, Trace]) -> float:
    shared = wanted.keys() == found.keys()
    same = shared and all(len(wanted[name]) == len(found[name]) for name in found)
    return max(distance(wanted[name], found[name]) for name in found) if same else float("inf")


def main(arguments: Sequence[str], file: Path = GOLDEN) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bless", action="store_true", help="write; without it nothing is written")
    parser.add_argument("--limit", type=float, help="a tighter limit for other classes of machine")
    asked = parser.parse_args(arguments)
    golden = read(file)
    traces = {name: trace_of(name) for name in TASKS}
    if moving := [n for n in TASKS if (first := first_difference(traces[n], trace_of(n)))]:
        print(f"refused: {', '.join(moving)} gives other numbers each time: {first}")
        return 1
    own = record_here(golden)
    known = own["steps"] if own else {}
    told = [
        f"{name}: {first_difference(known[name], trace) if name in known else 'not yet there'}"
        for name, trace in traces.items()
        if name not in known or first_difference(known[name], trace)
    ]
    print("\n".join(told or ["all stands"]))
    if asked.bless and (told or asked.limit):
        print(bless(file, traces, asked.limit or golden["limit"]))
        return 0
    if told:
        print("nothing is written without --bless")
    return 1 if told else 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.exit(main(sys.argv[1:]))
