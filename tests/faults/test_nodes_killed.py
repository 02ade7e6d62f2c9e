"""A road on which each node was killed, stopped or starved once ends where an undisturbed one does.

All runs are forks of one warm process; what each finds is what the one before left, and nobody
mends anything between.
"""

import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from killed_roads import (
    Done,
    WarmKedro,
    arrays_in,
    clear,
    litter_in,
    models_in,
    nodes_of,
    outputs_in,
    trainings_in,
)
from planted_faults import PLACES, Fault
from tiny_roads import lay_project
from write_sites import ROAD_KILLED, SITES

slow = pytest.mark.slow
KILLS = [
    ("classification", 0),
    pytest.param("classification", 1, marks=slow),
    pytest.param("detection", 2, marks=slow),
    pytest.param("segmentation", 3, marks=slow),
]
"""Roads, and at which of its places the first node is killed; each next one at the next place."""
STOPS = [
    ("read_manifest", "write", "term"),
    ("fine_tune", "inside", "term twice"),
    ("fine_tune", "write", "term"),
    ("register_model", "save", "term"),
]
"""Where a run is told to end: in ingestion, in the middle of an epoch, of a checkpoint, and of a
registration."""
MORE_STOPS = [
    ("read_manifest", "save", "term twice"),
    ("extract_features", "inside", "term twice"),
    ("train_probe", "inside", "term"),
    ("fine_tune", "save", "term twice"),
    ("train_scratch", "inside", "term"),
    ("train_scratch", "write", "term twice"),
    ("predict_contenders", "inside", "term"),
    ("judge_contenders", "inside", "term twice"),
    ("register_model", "save", "term twice"),
]
"""Also in extraction, probing and evaluation."""
EVERY = ("read_manifest", "extract_features", "train_probe", "fine_tune", "judge_contenders",
         "register_model")  # fmt: skip
"""A node of each phase."""


@dataclass(frozen=True)
class Road:
    """A task's road in a project, and what an undisturbed run of it left."""

    warm: WarmKedro
    task: str
    whole: Done
    left: dict[str, Any]

    def run(self, node: str = "", how: str = "kill", place: str = "inside") -> Done:
        """Run it; a fault may befall it half-way through what the node does at a place."""
        if not node:
            return self.warm.run(self.task)
        name = f"{self.task}.{node}"
        count = self.whole.counts[name].get(place, 0)
        return self.warm.run(self.task, Fault(name, how, place, (count + 1) // 2))

    def places(self, node: str) -> list[str]:
        """Where a fault can befall a node: those places at which it does something."""
        counts = self.whole.counts[f"{self.task}.{node}"]
        return [place for place in PLACES if counts[place] or place == "after"]

    def check_so_far(self) -> None:
        """No output is there that an undisturbed run would not leave, to the bit."""
        outputs = self.left["outputs"]
        now = outputs_in(self.warm.project, self.task)
        assert {path: outputs.get(path, "none") for path in now} == now

    def check_whole(self, earlier: list[str]) -> None:
        """Runs to its end, and leaves what an undisturbed run does; earlier runs read as given."""
        done = self.run()
        assert done.code == 0, done.said[-3000:]
        found = what_is_left(self.warm.project, self.task)
        for path in sorted({*found["outputs"], *self.left["outputs"]}):
            assert found["outputs"].get(path) == self.left["outputs"].get(path), path
        assert found == self.left
        assert self.warm.statuses() == [*earlier, "FINISHED"]


def what_is_left(project: Path, task: str) -> dict[str, Any]:
    return {
        "outputs": outputs_in(project, task),
        "arrays": arrays_in(project),
        "trainings": trainings_in(project, task),
        "models": models_in(project, task),
        "litter": litter_in(project),
    }


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmKedro]:
    folder = tmp_path_factory.mktemp("roads")
    warm = WarmKedro(lay_project(folder / "project"), folder)
    yield warm
    warm.close()


@pytest.fixture(scope="module")
def walked(warm: WarmKedro) -> Callable[[str], Road]:
    """A task's road, after its one undisturbed run."""

    @cache
    def walk(task: str) -> Road:
        clear(warm.project)
        whole = warm.run(task)
        assert whole.code == 0, whole.said[-3000:]
        return Road(warm, task, whole, what_is_left(warm.project, task))

    return walk


def fresh(road: Road) -> Road:
    """A road on which nobody has walked."""
    clear(road.warm.project)
    return road


def short_names(task: str) -> list[str]:
    return [node.name.removeprefix(f"{task}.") for node in nodes_of(task)]


@pytest.mark.parametrize("task, turn", KILLS)
def test_road__killed_in_each_node_ends_as_if_it_never_had_been(
    walked: Callable[[str], Road], task: str, turn: int
) -> None:
    road, names = fresh(walked(task)), short_names(task)
    for number, name in enumerate(names):
        places = road.places(name)
        done = road.run(name, "kill", places[(number + turn) % len(places)])
        assert done.code == -9, (name, done.said[-2000:])
        road.check_so_far()
    road.check_whole(["KILLED"] * len(names))
    assert road.left["models"] == [("1", "challenger")]


@pytest.mark.parametrize("stops", [STOPS, pytest.param(MORE_STOPS, marks=slow)])
def test_road__told_to_stop_in_each_phase_says_so_and_goes_on_to_the_bit(
    walked: Callable[[str], Road], stops: list[tuple[str, str, str]]
) -> None:
    road = fresh(walked("classification"))
    for node, place, how in stops:
        done = road.run(node, how, place)
        assert done.code == 143, (node, place, done.said[-2000:])
        assert "Traceback" not in done.said and "Stopped by SIGTERM" in done.said
        road.check_so_far()
    road.check_whole(["KILLED"] * len(stops))


def assert_one_message(done: Done, *parts: str) -> None:
    assert done.code == 1, done.said[-2000:]
    assert "Traceback" not in done.said and done.said.count("Error") == 1, done.said[-2000:]
    for part in ("next: ", *parts):
        assert part in done.said, done.said[-1000:]


@pytest.mark.parametrize("nodes", [EVERY[:4:3], pytest.param(EVERY, marks=slow)])
def test_road__that_finds_no_room_in_a_phase_says_where_and_loses_nothing(
    walked: Callable[[str], Road], nodes: Sequence[str]
) -> None:
    road = fresh(walked("classification"))
    for node in nodes:
        done = road.run(node, "full disk")
        assert_one_message(done, "data/", "files may not grow as large as needed")
        road.check_so_far()
    road.check_whole(["FAILED"] * len(nodes))


@pytest.mark.usefixtures("mounts")
@pytest.mark.parametrize("nodes", [EVERY[2:5:2], pytest.param(EVERY, marks=slow)])
def test_road__that_may_only_read_in_a_phase_says_where_and_loses_nothing(
    walked: Callable[[str], Road], nodes: Sequence[str]
) -> None:
    road = fresh(walked("classification"))
    for node in nodes:
        done = road.run(node, "read only")
        assert_one_message(done, "data/", "it may only be read, not written")
        road.check_so_far()
    road.check_whole(["FAILED"] * len(nodes))


@pytest.mark.usefixtures("mounts")
def test_road__that_may_write_nothing_below_data_reads_failed_though_no_journal_was_kept(
    walked: Callable[[str], Road],
) -> None:
    road = fresh(walked("classification"))
    done = road.run("train_probe", "all read only")
    assert_one_message(done, "data/", "it may only be read, not written")
    assert road.warm.statuses() == ["FAILED"]
    road.check_whole(["FAILED"])


@pytest.fixture
def mounts() -> None:
    """Skips where a process may not have mounts of its own."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare on this machine")
    tried = subprocess.run(["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"])
    if tried.returncode:
        pytest.skip("this machine lets no process have mounts of its own")


def test_sites__that_are_said_to_be_killed_on_the_road_are_on_it(
    walked: Callable[[str], Road],
) -> None:
    said = {site for site, test in SITES.items() if test == ROAD_KILLED}
    assert said <= set(walked("classification").whole.sites)
