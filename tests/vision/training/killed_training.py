"""Trains in processes of its own and kills them; run by test_killed.py as a script.

    python killed_training.py FOLDER KILLS

Prints one JSON line: the digest of the weights of a training that nothing stopped and of one that
was killed again and again, and how far each kill let it come.
"""

import json
import os
import random
import signal
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import lightning_fabric  # noqa: F401 (imported once, before the processes part)
import torch
from tiny_ground import lay_tiny_ground
from tiny_training import history_of, new_training

from graft.vision.backbones.weights import digest_state
from graft.vision.contenders.ground import Ground

LONG = {
    "epochs": 16,
    "strategy": "gradual",
    "batch_norm": "moves",
    "ema_decay": 0.9,
    "mixup_alpha": 0.3,
    "workers": 2,
}


def start(ground: Ground, checkpoint: Path | None, result: Path) -> int:
    """Train in a process of its own; returns its id."""
    child = os.fork()
    if child == 0:
        trained = new_training(ground, checkpoint, **LONG).run()
        told = [digest_state(dict(trained.model.state_dict())), history_of(trained)]
        result.write_text(json.dumps(told))
        os._exit(0)
    return child


def main(folder: Path, kills: int) -> None:
    torch.set_num_threads(1)
    ground = lay_tiny_ground(folder / "pixels", preset="traffic_sign")
    checkpoint, whole, resumed = (folder / name for name in ("c.safetensors", "whole", "resumed"))
    started = time.monotonic()
    os.waitpid(start(ground, None, whole), 0)
    length = time.monotonic() - started
    rng, signals, stayed = random.Random(0), [], []
    for _ in range(kills):
        child = start(ground, checkpoint, resumed)
        time.sleep(rng.uniform(0.1, 0.5) * length)
        os.kill(child, signal.SIGKILL)
        signals.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        stayed.append(checkpoint.exists())
    os.waitpid(start(ground, checkpoint, resumed), 0)
    told = {"whole": json.loads(whole.read_text()), "resumed": json.loads(resumed.read_text())}
    print(json.dumps({**told, "signals": signals, "stayed": stayed}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
