"""Processes make the batches of threads to the bit, and end with the training."""

import logging
import multiprocessing
import pickle
import signal
import subprocess
import sys
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from ending_processes import BAD, IDS, ended, pids_of, processes_of
from learning_scenes import lay_learning_scenes
from tiny_ground import lay_tiny_ground
from tiny_training import batches_of, differing, history_of, new_training, options_of, state_of

from graft.vision.contenders.ground import Ground
from graft.vision.errors import StoreError, TrainingError
from graft.vision.tasks import TASKS
from graft.vision.training import feeding, loop, processes
from graft.vision.training.batches import Asked, Batch, TrainingBatches, joined_samples
from graft.vision.training.feeding import fed, worker_count
from graft.vision.training.processes import Processes

EIGHT = [Asked(0, (0, 1, 2, 3)), Asked(0, (4, 5, 6, 7))]


@pytest.fixture(scope="module", params=TASKS)
def scenes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    return lay_learning_scenes(request.param, tmp_path_factory.mktemp("pixels"))


def same(one: Batch, other: Batch) -> bool:
    return (
        one.ids == other.ids
        and torch.equal(one.views, other.views)
        and one.views.stride() == other.views.stride()
        and all(
            a.keys() == b.keys()
            and all((a[k] == b[k]).all() and a[k].dtype == b[k].dtype for k in a)
            for a, b in zip(one.truths, other.truths, strict=True)
        )
    )


def all_same(found: list[Batch], wanted: list[Batch]) -> bool:
    return all(same(a, b) for a, b in zip(found, wanted, strict=True))


def test_processes__make_the_batches_of_threads_to_the_bit(scenes: Ground) -> None:
    by_threads = batches_of(scenes, options_of(batch_size=3, workers=2))
    sizes = (None, 32) if scenes.task.name == "classification" else (None,)
    batches = batches_of(scenes, options_of(batch_size=3, workers=2))
    with fed("tiny", batches, "cuda", 1):
        assert batches.made_by_processes is not None
        drawn = torch.get_rng_state()
        for epoch in (2, 0, 1):
            for size in sizes:
                wanted = list(by_threads.epoch(epoch, size))
                assert all_same(list(batches.epoch(epoch, size)), wanted)
            assert len(list(islice(batches.epoch(7), 1))) == 1  # broken off, and begun anew
        assert torch.equal(torch.get_rng_state(), drawn)
    assert batches.made_by_processes is None
    assert all_same(list(batches.epoch(1)), list(by_threads.epoch(1)))


def test_samples__travel_without_what_is_mapped(scenes: Ground) -> None:
    samples = batches_of(scenes, options_of()).samples
    wanted = samples(Asked(3, ()), 1)  # maps a shard
    sent = pickle.dumps(samples)
    assert len(sent) < 64 << 10 < sum(path.stat().st_size for path in shards_of(scenes))
    view, truth, name = pickle.loads(sent)(Asked(3, ()), 1)
    assert name == wanted[2] and (view == wanted[0]).all()
    assert all((truth[key] == wanted[1][key]).all() for key in wanted[1])


def shards_of(ground: Ground) -> list[Path]:
    return list(ground.pixels.array_store.root.glob("*.bin"))


class KilledError(Exception):
    """Stands for what ends a process between two epochs."""


def test_training__fed_by_processes_and_resumed_is_that_of_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ground = lay_tiny_ground(tmp_path / "pixels", preset="natural", dropout=0.2)
    options = {"epochs": 3, "mixup_alpha": 0.3, "sizes_px": (16, 32), "workers": 2}
    whole, path, seen = new_training(ground, **options).run(), tmp_path / "c.safetensors", []

    def watched(name: str, batches: TrainingBatches, device: str, epochs: int) -> object:
        seen.append(batches)
        return fed(name, batches, "cuda", epochs)

    pids: list[int] = []

    def fall(row: dict[str, float]) -> None:
        made = seen[0].made_by_processes
        pids.extend(pids_of(made.__self__))
        raise KilledError

    monkeypatch.setattr(loop, "fed", watched)
    with pytest.raises(KilledError):
        new_training(ground, path, after_epoch=fall, **options).run()
    assert len(pids) == 2 and ended(pids)
    resumed = new_training(ground, path, **options).run()
    assert differing(state_of(resumed.model), state_of(whole.model)) == set()
    assert history_of(resumed) == history_of(whole)


def test_sample__of_which_nothing_can_be_made_is_named(ground: Ground) -> None:
    processes = processes_of("raises")
    pids = pids_of(processes)
    said = rf"{IDS[BAD]}: no view can be made of it; found: ValueError: three is no number"
    made = processes.made(EIGHT)
    assert next(made).ids == IDS[:4]
    with pytest.raises(TrainingError, match=said):
        next(made)
    assert [batch.ids for batch in processes.made(EIGHT[:1])] == [IDS[:4]]  # the others go on
    processes.close()
    assert ended(pids)


def test_sample__keeps_the_kind_of_its_error(ground: Ground) -> None:
    batches = batches_of(ground, options_of())
    batches.samples.make.digests[1] = "none"  # type: ignore[attr-defined]
    processes = Processes(batches.samples, 1, pin=False)
    said = rf"^{batches.samples.ids[1]}: array none is not in .*; next: run the whole pipeline"
    with pytest.raises(StoreError, match=said):
        list(processes.made([Asked(0, (0, 1))]))
    processes.close()


def test_process__that_dies_is_told_with_the_sample_that_it_was_at() -> None:
    processes = processes_of("dies")
    said = rf"a process that augments has ended; found: .*; it was making {IDS[BAD]} and 0 more"
    with pytest.raises(TrainingError, match=said):
        list(processes.made(EIGHT))
    pids = pids_of(processes)
    processes.close()
    assert ended(pids)


def test_processes__end_with_whoever_is_ended() -> None:
    parent = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("ending_processes.py"))],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    parent.send_signal(signal.SIGTERM)  # of which it knows nothing: it ends nobody
    assert parent.wait(20) == -signal.SIGTERM
    assert ended(pids)


def no_room(path: Path) -> SimpleNamespace:
    return SimpleNamespace(free=1 << 10)


@pytest.mark.filterwarnings("ignore:Got pickle error")
def test_processes__without_room_to_share_send_the_same_batches_through_pipes(
    scenes: Ground, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feeding.shutil, "disk_usage", no_room)
    options = options_of(batch_size=3, workers=2)
    batches, by_threads = batches_of(scenes, options), batches_of(scenes, options)
    with caplog.at_level(logging.INFO, logger="graft"), fed("tiny", batches, "cuda", 1):
        made = batches.made_by_processes
        assert made is not None
        assert all_same(list(made([Asked(0, (0, 1))])), [batches_of_places(by_threads, 0, (0, 1))])
        assert all_same(list(batches.epoch(1)), list(by_threads.epoch(1)))
    (told,) = [record.getMessage() for record in caplog.records]
    assert told.startswith("    tiny: batches pass through pipes")
    assert "/dev/shm has 0 MiB of" in told


def batches_of_places(batches: TrainingBatches, epoch: int, places: tuple[int, ...]) -> Batch:
    return joined_samples([batches.samples(Asked(epoch, places), place) for place in places])


@pytest.mark.parametrize("reason", ["daemon", "start"])
def test_threads__do_it_where_processes_cannot_be_had(
    ground: Ground, reason: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if reason == "daemon":
        monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
        said = "this process may have none of its own"
    else:
        monkeypatch.setattr(processes, "_begin", lambda worker: None)  # which goes nowhere
        said = "Can't pickle"
    batches = batches_of(ground, options_of(workers=2))
    with caplog.at_level(logging.WARNING, logger="graft"), fed("tiny", batches, "cuda", 1):
        assert batches.made_by_processes is None
        assert all_same(
            list(batches.epoch(0)), list(batches_of(ground, options_of(workers=0)).epoch(0))
        )
    told = [record.getMessage() for record in caplog.records]
    assert (
        len(told) == 1 and told[0].startswith("    tiny: threads augment, for") and said in told[0]
    )


def test_processes__are_for_a_gpu_and_for_what_takes_time(ground: Ground) -> None:
    stored = TrainingBatches(["a"], lambda place, epoch: None, 1, 0, 2)  # type: ignore[arg-type, return-value]
    between = batches_of(ground, options_of(workers=0))
    for batches, device in (
        (batches_of(ground, options_of()), "cpu"),
        (stored, "cuda"),
        (between, "cuda"),
    ):
        with fed("tiny", batches, device, 1):
            assert batches.made_by_processes is None


def test_processes__are_started_unasked_for_trainings_that_last(
    ground: Ground, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    monkeypatch.setattr(feeding, "_processes", lambda name, batches, count: started.append(count))
    views = len(ground.split("train"))
    enough = -(-feeding.WORTH_IT // views)
    for workers, epochs, wanted in ((None, enough, 1), (None, enough - 1, 0), (2, 1, 1)):
        started.clear()
        with fed("tiny", batches_of(ground, options_of(workers=workers)), "cuda", epochs):
            assert len(started) == wanted
            assert started in ([], [worker_count(workers)])


@pytest.mark.parametrize(("cores", "wanted"), [(1, 1), (2, 1), (16, 15), (64, 16)])
def test_worker_count__leaves_a_core_to_the_steps(
    cores: int, wanted: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeding.os, "sched_getaffinity", lambda of: set(range(cores)))
    assert worker_count(None) == wanted
    assert worker_count(3) == 3
