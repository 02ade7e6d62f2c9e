"""No path that a file states, and no link, reaches outside the raw folder: on every reader.

A picture, and the texts of a data set, lie outside. Whatever Python opens while the case is
ingested and recognised is written down by an audit hook: nothing of it lies there.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from fuzz_seeds import Layout, layouts, write_layout

from graft.vision.data.manifest import Ingested, build_manifest
from graft.vision.data.options import DecodingOptions, IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.sources.recognise import recognise
from graft.vision.errors import GraftError
from graft.vision.records import digest_of_file

LAYOUTS = layouts()
WAYS_OUT = {
    "dots": "../outside/secret.png",
    "dots in the middle": "images/../../outside/secret.png",
    "absolute": "{outside}/secret.png",
    "backslashes": "..\\outside\\secret.png",
    "drive": "C:\\outside\\secret.png",
    "share": "\\\\host\\outside\\secret.png",
    "address": "file://{outside}/secret.png",
    "home": "~/../outside/secret.png",
    "escaped": "..%2foutside%2fsecret.png",
    "one dot leaders": "\u2024\u2024/outside/secret.png",
    "wide signs": "\uff0e\uff0e\uff0foutside\uff0fsecret.png",
    "division slash": "..\u2215outside\u2215secret.png",
    "null": "../outside/secret.png\0",
    "link": "way_out/secret.png",
}
_watched: list[str] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _watched is not None and event == "open" and isinstance(arguments[0], str | bytes):
        _watched.append(os.path.realpath(os.fsdecode(arguments[0])))


sys.addaudithook(_note)  # stays for good: it does nothing while nobody watches


@contextmanager
def watched_opens() -> Iterator[list[str]]:
    """The real paths of all that is opened meanwhile."""
    global _watched
    _watched = found = []
    try:
        yield found
    finally:
        _watched = None


class Case:
    """A raw folder with a way out of it, and what must not be read."""

    def __init__(self, folder: Path, layout: Layout) -> None:
        self.raw, self.outside, self.layout = folder / "raw", folder / "outside", layout
        write_layout(self.raw, layout)
        write_layout(self.outside, layout)
        shutil.copyfile(self.outside / layout.images[0], self.outside / "secret.png")
        with (self.outside / "secret.png").open("ab") as file:
            file.write(b"a digest of its own")
        self.options = IngestionOptions(
            source=SourceOptions.parse(layout.options, "test"),
            decoding=DecodingOptions(short_side_px=64),
            quarantine_share_max=1.0,
        )
        self.store = PixelStore(folder / "pixels", self.options.decoding)

    def ingest(self) -> Ingested | None:
        """Ingest and recognise; None where the case is refused. Nothing outside is opened."""
        ingested = None
        with watched_opens() as opened:
            with suppress(GraftError):
                ingested = build_manifest(self.raw, self.store, self.options)
            with suppress(GraftError):
                recognise(self.raw)
        outside = os.path.realpath(self.outside)
        assert not [path for path in opened if path.startswith(outside)]
        assert digest_of_file(self.outside / "secret.png") not in self.store
        if ingested is not None:
            for path in ingested.manifest["path"]:
                real = Path(os.path.realpath(self.raw / path))
                assert real.is_relative_to(os.path.realpath(self.raw))
        return ingested


def texts_of(layout: Layout) -> list[str]:
    return [name for name, text in layout.texts.items() if text]


@pytest.mark.parametrize("way", WAYS_OUT)
@pytest.mark.parametrize("name", [name for name in LAYOUTS if texts_of(LAYOUTS[name])])
def test_readers__follow_no_stated_path_out(tmp_path: Path, name: str, way: str) -> None:
    """In place of an image's name, of a listed name, and of a folder, in every text there is."""
    case = Case(tmp_path, LAYOUTS[name])
    (case.raw / "way_out").symlink_to(case.outside)
    path = WAYS_OUT[way].format(outside=case.outside)
    changed = 0
    for text in texts_of(case.layout):
        file = case.raw / text
        before = file.read_bytes()
        if file.suffix == ".parquet":
            continue
        data = before.replace(b"0.png", path.encode()).replace(b"\n1\n", f"\n{path}\n".encode())
        data = data.replace(b"images/train", str(Path(path).parent).encode())
        data = data.replace(b"= obj.names", f"= {path}".encode())
        file.write_bytes(data)
        changed += data != before
    case.ingest()
    assert changed or "masks" in name or name == "parquet"


@pytest.mark.parametrize("name", LAYOUTS)
def test_readers__follow_no_link_out(tmp_path: Path, name: str) -> None:
    """Each text and one image are links to their like outside."""
    case = Case(tmp_path, LAYOUTS[name])
    image = case.layout.images[0]
    for place in [*texts_of(case.layout), image]:
        (case.raw / place).unlink()
        (case.raw / place).symlink_to(case.outside / place)
    ingested = case.ingest()
    assert ingested is None or image not in set(ingested.manifest["id"])


@pytest.mark.parametrize("name", [n for n, of in LAYOUTS.items() if "/" in of.images[0]])
def test_readers__follow_no_link_to_a_folder_out(tmp_path: Path, name: str) -> None:
    case = Case(tmp_path, LAYOUTS[name])
    top = case.layout.images[0].split("/")[0]
    shutil.rmtree(case.raw / top)
    (case.raw / top).symlink_to(case.outside / top)
    ingested = case.ingest()
    assert ingested is None or not any(
        path.startswith(f"{top}/") for path in ingested.manifest["path"]
    )


@pytest.mark.parametrize(
    "options",
    [
        {"layout": "folders", "folder": "../outside"},
        {"layout": "table", "images_folder": "../outside"},
        {"layout": "table", "table": ["../outside/labels.csv"]},
        {"layout": "coco", "annotations": ["../outside/annotations/instances_train.json"]},
        {"layout": "boxes_csv", "table": ["../outside/boxes.csv"], "images_folder": "../outside"},
        {"layout": "masks", "class_table": "../outside/classes.txt"},
        {"layout": "masks", "images_folder": "../outside/images", "masks_folder": "../outside"},
        {"layout": "yolo", "folder": "/etc"},
        {"layout": "labelme", "folder": "way_out"},
        {"layout": "voc", "folder": "way_out/Annotations"},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_options__name_nothing_outside(tmp_path: Path, options: dict[str, Any]) -> None:
    plain = {"table": "table", "masks": "masks by classes.txt"}
    case = Case(tmp_path, LAYOUTS[plain.get(options["layout"], options["layout"])])
    (case.raw / "way_out").symlink_to(case.outside)
    case.options = case.options.model_copy(update={"source": SourceOptions.parse(options, "test")})
    assert case.ingest() is None
