"""Everything of graft that writes files which outlive a process, each with a value that is told
from the next: number 1 stands before, number 2 is written when a fault comes."""

import contextlib
import io
import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import yaml

from graft.adapters import bringing, case, case_settings, packing
from graft.adapters.datasets import ArtifactDataset, FolderDataset
from graft.adapters.ledger import Ledger
from graft.adapters.ledger.chain import read_chain
from graft.adapters.lineage import FOLDER
from graft.adapters.lineage import writing as lineage_writing
from graft.adapters.tracking import version as data_version
from graft.adapters.tracking.journal import Journal
from graft.vision.data.sources.recognise import Recognition
from graft.vision.data.street_scenes.folder import write_image, write_text
from graft.vision.data.street_scenes.replacing import recover, replaced
from graft.vision.errors import GraftError
from graft.vision.records import digests_below
from graft.vision.store import ArrayStore, pruning, writing

Put = Callable[[Path, int], object]
Read = Callable[[Path], int]


@dataclass(frozen=True)
class Writer:
    """A way to write.

    Attributes:
        put: writes the value of this number below a folder.
        read: the number that stands there, 0 where none does; fails for what is torn.
        before: the numbers that may stand before; what is never replaced has none.
        named: whether an error of the disk says what was to be written.
        needed: whether it is told at all; what is not needed is done without.
        same_names: whether a writing that was cut leaves, once repeated, no other names.
        most: at how many calls, evenly spread, a fault comes at most.
        refused: whether what was cut is refused, with the mend, until it is written anew.
    """

    put: Put
    read: Read
    before: tuple[int, ...] = (0, 1)
    named: bool = True
    needed: bool = True
    same_names: bool = True
    refused: bool = False
    most: int = 1000


TABLE = pd.DataFrame({"number": np.arange(3000), "name": [f"image {i}" for i in range(3000)]})
VALUES: dict[str, Callable[[int], Any]] = {
    ".parquet": lambda number: TABLE.assign(number=number),
    ".csv": lambda number: TABLE.assign(number=number),
    ".json": lambda number: {"number": number, "names": list(TABLE["name"])},
    ".html": lambda number: f"<p>{number}</p>" + "<p>name</p>" * 3000 + "</html>",
    ".png": lambda number: bytes([number]) + bytes(30_000) + b"IEND",
}
NUMBERS: dict[str, Callable[[Any], int]] = {
    ".parquet": lambda value: int(value["number"].unique().item()) * (len(value) == len(TABLE)),
    ".csv": lambda value: int(value["number"].unique().item()) * (len(value) == len(TABLE)),
    ".json": lambda value: int(value["number"]),
    ".html": lambda value: int(value[3]) * value.endswith("</html>"),
    ".png": lambda value: value[0] * value.endswith(b"IEND"),
}
"""The number that a whole value tells; another is told, or none at all, by one that was cut."""


def artifact(ending: str) -> Writer:
    """A dataset of one file, by its form."""

    def dataset(folder: Path) -> ArtifactDataset:
        return ArtifactDataset(str(folder / f"layer/value{ending}"))

    def read(folder: Path) -> int:
        there = dataset(folder)
        number = NUMBERS[ending](there.load()) if there.exists() else 0
        assert number or not there.exists(), "cut short"
        return number

    return Writer(lambda folder, number: dataset(folder).save(VALUES[ending](number)), read)


def open_folder(folder: Path, number: int) -> None:
    FolderDataset(str(folder / "layer/store")).load()


def put_arrays(folder: Path, number: int) -> None:
    store = ArrayStore(folder / "store", "rule", {"rule": 1})
    with store.writer() as writer:
        for key in range(5 * number):
            writer.add(str(key), np.full(300, key))


def read_arrays(folder: Path) -> int:
    store = ArrayStore(folder / "store", "rule")
    assert all((store.read(key) == int(key)).all() for key in store.entries())
    return max((n for n in (1, 2) if not store.missing(map(str, range(5 * n)))), default=0)


def put_evens(folder: Path, number: int) -> None:
    usual, writing.SHARD_BYTES = writing.SHARD_BYTES, 4000
    try:
        if number == 1:
            put_arrays(folder, 2)
        else:
            store = ArrayStore(folder / "store", "rule", {"rule": 1})
            pruning.prune(store, lambda key, _: int(key) % 2 == 0, -1, remove=True)
    finally:
        writing.SHARD_BYTES = usual


def read_evens(folder: Path) -> int:
    store = ArrayStore(folder / "store", "rule")
    assert not store.missing(map(str, range(0, 10, 2)))
    assert all((store.read(key) == int(key)).all() for key in store.entries())
    return 2 if len(store) == 5 and not pruning.look_into(store).dead_bytes else 1


def put_entries(folder: Path, number: int) -> None:
    ledger = Ledger(folder / "ledger", "tiny", lease_s=0.05)
    with ledger.turn():
        while len(ledger.entries) < number:
            ledger.write("refuse", "1", reason="too few images " * 200)


def put_overlay(folder: Path, number: int) -> None:
    found = Recognition("folders", "classes", {"layout": "folders"}, ["class folders"])
    case._write_overlay(
        folder / "conf/mine", "mine", Path("pictures"), "classification", found, lambda said: None
    )


def read_overlay(folder: Path) -> int:
    overlay = folder / "conf/mine"
    if not overlay.exists():
        return 0
    said = yaml.safe_load((overlay / "globals.yml").read_text())
    block = yaml.safe_load((overlay / "parameters/classification.yml").read_text())
    assert said["case"] == "mine" and block["classification"]["ingestion"]["source"]
    return 2


def list_case(folder: Path, number: int) -> None:
    file = folder / "cases.yml"
    if number == 1:
        lines = "".join(f"  case_{i}-detection: {{case: c, task: t}}\n" for i in range(60))
        file.write_text("# Cases that `dvc repro` runs.\ncases:\n" + lines)
    else:
        bringing._list(file, "mine", "classification")


def read_cases(folder: Path) -> int:
    file = folder / "cases.yml"
    if not file.exists():
        return 0
    cases = yaml.safe_load(file.read_text())["cases"]
    assert len(cases) == 60 + ("mine-classification" in cases)
    return len(cases) - 59


def put_settings(folder: Path, number: int) -> None:
    case_settings.case_settings = lambda *_: {"number": number, "names": list(TABLE["name"])}
    target = str(folder / "tiny/settings.json")
    with contextlib.redirect_stderr(io.StringIO()) as said:
        if case_settings.main("tiny", "classification", target):
            raise GraftError(said.getvalue().strip())


def read_settings(folder: Path) -> int:
    file = folder / "tiny/settings.json"
    return int(json.loads(file.read_text())["number"]) if file.exists() else 0


def source(number: int) -> Path:
    """A folder of files that is not changed; drawn by `draw_sources`."""
    return Path("sources").resolve() / str(number)


def draw_sources() -> None:
    """Below the working folder: both numbers' files, and those of the second packed."""
    for number, name in itertools.product((1, 2), ("a/1.png", "b/2.png", "b/3.png")):
        (source(number) / name).parent.mkdir(parents=True, exist_ok=True)
        (source(number) / name).write_bytes(bytes([number]) * 3000)
    packing.pack(source(2), Path("sources").resolve() / "packed", shard_bytes=3000)


def put_pack(folder: Path, number: int) -> None:
    packing.pack(source(number), folder / "mine.packed", shard_bytes=3000)


def read_pack(folder: Path) -> int:
    packed = folder / "mine.packed"
    if not packed.exists():
        return 0
    contents, tree = packing._contents(packed), dict(packing._read(packed, None))
    packing._prove(contents, tree, packed)
    return number_of(tree)


def number_of(tree: dict[str, str]) -> int:
    return next(number for number in (1, 2) if digests_below(source(number)) == tree)


def put_unpacked(folder: Path, number: int) -> None:
    packed = Path("sources").resolve() / "packed"
    packing.unpack(packed, folder / "mine")


def put_brought(folder: Path, number: int) -> None:
    if not (folder / "mine").exists():
        bringing.bring(source(number), folder / "mine", lambda said: None)


def put_copied(folder: Path, number: int) -> None:
    """Where the file system can neither clone nor link."""
    linked, os.link = os.link, not_here
    try:
        put_brought(folder, number)
    finally:
        os.link = linked


def not_here(*_: object) -> None:
    raise OSError("no links")


def read_raw(folder: Path) -> int:
    raw = folder / "mine"
    return number_of(digests_below(raw)) if raw.exists() else 0


def put_records(folder: Path, number: int) -> None:
    journal = Journal(folder / "waiting/run")
    if not journal.folder.exists():
        journal.begin({"do": "create", "name": "a run " * 500})
    journal.heal()
    while (count := len(journal.records)) < number:
        journal.add({"do": "artifact", "name": "1.png"}, count, source(1) / "a/1.png")


def read_records(folder: Path) -> int:
    journal = Journal(folder / "waiting/run")
    files = [number for number, each in enumerate(journal.records) if each["do"] == "artifact"]
    assert all(journal.file_of(number, "1.png").stat().st_size == 3000 for number in files)
    return len(journal.records)


def remember(folder: Path, number: int) -> None:
    data_version._remember(folder / "tmp/compared.json", {"number": number})


def read_remembered(folder: Path) -> int:
    file = folder / "tmp/compared.json"
    return int(json.loads(file.read_text())["number"]) if file.exists() else 0


def keep_lineage(folder: Path, number: int) -> None:
    material: Any = SimpleNamespace(
        path_of=lambda name: Path("models/chosen_model"),
        project=folder,
        version=SimpleNamespace(version="1"),
    )
    lineage_writing._keep(source(number) / "b", material)


def read_lineage(folder: Path) -> int:
    kept = folder / "models" / FOLDER / "1"
    if not kept.exists():
        return 0
    tree = digests_below(kept)
    return next(n for n in (1, 2) if digests_below(source(n) / "b") == tree)


def put_render(folder: Path, number: int) -> None:
    with replaced(folder / "render") as new:
        write_text(new / "labels/README.md", str(number) * 5000)
        write_image(new / "images/1.png", np.full((90, 90, 3), number, np.uint8))


def read_render(folder: Path) -> int:
    recover(folder / "render")
    file = folder / "render/labels/README.md"
    if not (folder / "render").exists():
        return 0
    assert len(file.read_text()) == 5000 and (folder / "render/images/1.png").stat().st_size > 50
    return int(file.read_text()[0])


WRITERS: dict[str, Writer] = {
    **{f"artifact {ending}": artifact(ending) for ending in VALUES},
    "folder": Writer(open_folder, lambda folder: 2 * (folder / "layer/store").is_dir(), (0,)),
    "store": Writer(put_arrays, read_arrays),
    "store pruned": Writer(put_evens, read_evens, (1,), same_names=False),
    "ledger": Writer(
        put_entries, lambda folder: len(read_chain(folder / "ledger/tiny.jsonl")), (1,)
    ),
    "overlay": Writer(put_overlay, read_overlay, (0,)),
    "list of cases": Writer(list_case, read_cases, (1,)),
    "settings": Writer(put_settings, read_settings),
    "packed data": Writer(put_pack, read_pack),
    "unpacked data": Writer(put_unpacked, read_raw, (0,)),
    "linked data": Writer(put_brought, read_raw, (0,)),
    "copied data": Writer(put_copied, read_raw, (0,)),
    "journal": Writer(put_records, read_records, (1,), same_names=False),
    "memory of versions": Writer(remember, read_remembered, needed=False),
    "lineage record": Writer(keep_lineage, read_lineage),
    "render": Writer(put_render, read_render),
}
