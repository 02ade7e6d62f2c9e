"""Trains in a process of its own, to be killed by test_killed.py.

    python killed_training.py PIXELS RESULT [CHECKPOINT]

Says ``ready`` when it starts to train; writes the digest of the weights and the history to RESULT.
"""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import torch
from tiny_ground import lay_tiny_ground
from tiny_training import history_of, new_training

from graft.vision.backbones.weights import digest_state

LONG = {
    "epochs": 16,
    "strategy": "gradual",
    "batch_norm": "moves",
    "ema_decay": 0.9,
    "mixup_alpha": 0.3,
    "workers": 2,
}


def main(pixels: Path, result: Path, checkpoint: Path | None) -> None:
    torch.set_num_threads(1)
    training = new_training(lay_tiny_ground(pixels, preset="traffic_sign"), checkpoint, **LONG)
    print("ready", flush=True)
    trained = training.run()
    told = [digest_state(dict(trained.model.state_dict())), history_of(trained)]
    result.write_text(json.dumps(told))


if __name__ == "__main__":
    paths = [Path(name) for name in sys.argv[1:]]
    main(paths[0], paths[1], paths[2] if len(paths) > 2 else None)
