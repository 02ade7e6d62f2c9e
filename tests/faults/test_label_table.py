"""Bad labels of every kind in every layout: refused or reported, never mended in silence."""

import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from label_faults import CELLS, WHOLE, Cell
from label_gaps import GAPS
from label_sets import COUNT, SETS

from graft.vision.data.manifest import Ingested, build_manifest
from graft.vision.data.near_copies import PAIR_COLUMNS
from graft.vision.data.options import IngestionOptions, SourceOptions, SplitOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.sources import LAYOUTS
from graft.vision.data.sources.recognise import recognise
from graft.vision.data.splits import class_table_of, split_manifest
from graft.vision.errors import DataError, GraftError
from graft.vision.records import new_table

Truths = dict[str, Any]
SHARE = 0.25
"""Of the files that may be of no use: a bad image, its label and its line in a list are three of
the fourteen that are told of."""


def ingest(name: str, root: Path, pixels: Path, share: float = SHARE, **more: Any) -> Ingested:
    """The set as it lies there, by the options of its layout."""
    source = SourceOptions.parse({**SETS[name][1], **more}, "test")
    options = IngestionOptions(source=source, workers=1, quarantine_share_max=share)
    return build_manifest(root, PixelStore(pixels / "pixels", options.decoding), options)


def truths_of(ingested: Ingested) -> Truths:
    rows = ingested.manifest
    return {
        Path(name).name: _without_digests(json.loads(text))
        for name, text in zip(rows["id"], rows["truth"], strict=True)
    }


def _without_digests(truth: Truths) -> Truths:
    """Another name in a mask's rule is another digest of all masks."""
    return {key: value for key, value in truth.items() if key not in ("mask_sha256", "names")}


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Truths]:
    """What each set says before anything is spoiled."""
    found = {}
    for name, (lay, _) in SETS.items():
        root = tmp_path_factory.mktemp(name) / "raw"
        lay(root)
        ingested = ingest(name, root, root.parent)
        assert len(ingested.manifest) == COUNT
        assert ingested.quarantine.empty and not ingested.findings, name
        found[name] = truths_of(ingested)
    return found


@pytest.mark.parametrize(("name", "fault"), sorted(CELLS), ids=lambda part: part.replace(" ", "_"))
def test_label__that_is_bad_is_told_with_its_place_and_its_mend_and_stops_no_other(
    tmp_path: Path, clean: dict[str, Truths], name: str, fault: str
) -> None:
    cell, root = CELLS[name, fault], tmp_path / "raw"
    SETS[name][0](root)
    cell.spoil(root)
    if cell.image == "stops":
        with pytest.raises(DataError) as stop:
            ingest(name, root, tmp_path, **cell.options)
        assert cell.said in str(stop.value)
        assert Path(root).name in str(stop.value) or "." in str(stop.value).partition(";")[0]
        return
    ingested = ingest(name, root, tmp_path, **cell.options)
    assert_told(ingested, cell)
    assert_rest_is_untouched(truths_of(ingested), clean[name], cell)
    assert_can_be_written(ingested, tmp_path)


def assert_told(ingested: Ingested, cell: Cell) -> None:
    rows = [
        f"{row['file']} {row['row']}: {row['reason']}"
        for row in ingested.quarantine.to_dict("records")
    ]
    if not cell.place:
        assert any(cell.said in finding for finding in ingested.findings), (ingested.findings, rows)
        return
    told = [row for row in rows if cell.said in row and cell.place in row]
    assert told, (rows, ingested.findings)
    assert all("; " in row for row in rows), rows  # what is wrong, and what to do


def assert_rest_is_untouched(found: Truths, clean: Truths, cell: Cell) -> None:
    """Eleven images say what they said; the twelfth what its cell states."""
    if "*" not in cell.beside:
        for image in clean.keys() - {"03.png", *cell.beside}:
            assert found[image] == clean[image], image
    more = found.keys() - clean.keys() - set(cell.beside)
    assert not more
    if cell.image == "goes":
        assert "03.png" not in found
    elif cell.image == "stays":
        assert found["03.png"] == clean["03.png"]
    else:
        assert found["03.png"] != clean["03.png"] or "*" in cell.beside


def assert_can_be_written(ingested: Ingested, folder: Path) -> None:
    """Whatever names hold, the tables reach the disk and come back."""
    ingested.manifest.to_parquet(folder / "manifest.parquet")
    ingested.quarantine.to_csv(folder / "quarantine.csv", index=False)
    back = pd.read_csv(folder / "quarantine.csv", dtype=str, keep_default_na=False)
    assert back.to_dict("records") == ingested.quarantine.astype(str).to_dict("records")
    json.dumps(ingested.findings, ensure_ascii=False).encode()


def test_label_table__is_whole() -> None:
    faults = {fault for _, fault in CELLS}
    assert len(faults) >= 38
    assert not CELLS.keys() & GAPS.keys()
    assert CELLS.keys() | GAPS.keys() == {(name, fault) for name in SETS for fault in faults}
    assert all(GAPS.values())


def spoil_all(name: str, root: Path) -> None:
    """Every label of a set is of no use, each for its own row."""
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        if name in ("folders", "table") and path.suffix == ".png":
            path.write_bytes(b"no image")
        elif path.suffix in (".csv", ".xml", ".json") and name not in ("folders", "table"):
            path.write_text(SPOILED[path.suffix](path.read_text()))
        elif path.parent.name == "labels":
            path.write_text(path.read_text().replace("0.", "7."))
        elif path.parent.name in ("masks", "PedMasks"):
            path.write_bytes(b"no mask")


SPOILED: dict[str, Callable[[str], str]] = {
    ".csv": lambda text: text.replace(",40,30,ant,", ",40,30,ant,9").replace(",bee,", ",bee,9"),
    ".xml": lambda text: text.replace("<xmin>", "<xmin>9"),
    ".json": lambda text: text.replace('"bbox": [', '"bbox": [9').replace("[[", '[["x", 1], ['),
}


@pytest.mark.parametrize("name", SETS)
def test_labels__bad_above_the_share_stop_the_run_and_name_the_setting(
    tmp_path: Path, name: str
) -> None:
    root = tmp_path / "raw"
    SETS[name][0](root)
    spoil_all(name, root)
    with pytest.raises(DataError) as stop:
        ingest(name, root, tmp_path)
    words = str(stop.value)
    assert "12 of 12" in words or "no class is stated" in words, words
    assert "allowed: a share of 0.25 (ingestion.quarantine_share_max); next: mend" in words


# --- classes that cannot be learned --------------------------------------------------------------


def split_of(name: str, root: Path, kept: Callable[[int], str]) -> tuple[list[str], list[str]]:
    """The set as its data set's own split would have it; empty where an image is not there."""
    SETS[name][0](root)
    manifest = ingest(name, root, root.parent).manifest
    given = [kept(int(Path(image).stem)) for image in manifest["id"]]
    rows = manifest.assign(given_split=given)[[bool(split) for split in given]]
    splitting = split_manifest(rows, new_table([], PAIR_COLUMNS), SplitOptions())
    classes = class_table_of(splitting.split_manifest, exclusive=True)["names"]
    return classes, splitting.findings


@pytest.mark.parametrize("name", [name for name in SETS if name != "instances"])
@pytest.mark.parametrize("side", ["val", "test"])
def test_class__that_is_only_judged_is_refused_by_name(
    tmp_path: Path, name: str, side: str
) -> None:
    def bees_apart(number: int) -> str:
        """Ants learn and judge; bees stand on one side alone."""
        ants = "train" if number % 4 else "test" if number else "val"
        return side if number % 2 else ants

    with pytest.raises(DataError) as stop:
        split_of(name, tmp_path / "raw", bees_apart)
    if name in WHOLE:
        assert "fewer than two classes are left to learn; found: {'ant': 3} in train" in str(
            stop.value
        )
    else:
        assert "classes are judged that cannot be learned" in str(stop.value)
        assert "no training image of bee; next: add training images" in str(stop.value)


@pytest.mark.parametrize("name", SETS)
def test_class__that_is_alone_is_learned_where_there_is_something_beside_it(
    tmp_path: Path, name: str
) -> None:
    def only_ants(number: int) -> str:
        return "" if number % 2 else "train" if number % 4 else "test" if number else "val"

    if name in WHOLE:
        with pytest.raises(DataError, match="fewer than two classes are left to learn"):
            split_of(name, tmp_path / "raw", only_ants)
    else:
        classes, _ = split_of(name, tmp_path / "raw", only_ants)
        beside = {name: ["floor"] for name in ("masks", "listed_masks")}
        beside |= {"labelme_masks": ["background"]}
        shown = "pedestrian" if name == "instances" else "ant"
        assert classes == sorted([shown, *beside.get(name, [])])


# --- a folder that is looked at before it is read ------------------------------------------------


@pytest.fixture
def within_seconds() -> Iterator[None]:
    """A pipe that is waited on, or entities that expand, end in an error and not never."""

    def late(*_: object) -> None:
        raise TimeoutError("this takes too long")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


HANGING = ("pipe", "linked", "XML", "YAML", "JSON", "cut off", "code point", "UTF-8", "empty")


@pytest.mark.usefixtures("within_seconds")
@pytest.mark.parametrize(
    ("name", "fault"),
    sorted(cell for cell in CELLS if any(word in cell[1] for word in HANGING)),
    ids=lambda part: part.replace(" ", "_"),
)
def test_recognise__looks_at_a_bad_folder_and_ends(tmp_path: Path, name: str, fault: str) -> None:
    root = tmp_path / "raw"
    SETS[name][0](root)
    CELLS[name, fault].spoil(root)
    try:
        assert recognise(root).layout in LAYOUTS
    except GraftError as error:
        assert "; " in str(error)
