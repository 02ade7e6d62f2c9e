"""Feeds damaged files to everything that reads files, in a process of its own.

Run as ``python tests/faults/fuzzed_readers.py FOLDER SEED SECONDS [STEP]``. What a step does
depends on the seed and its number alone: with STEP that one is done again. The images of
``FOLDER/seeds`` are damaged like those that are drawn here. Each input lies in ``FOLDER/input``
while it is read, and its number in ``FOLDER/step``. One line of JSON tells of each fault, with
where its input is kept, and a last one counts the steps.
"""

import faulthandler
import itertools
import json
import os
import random
import resource
import shutil
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fuzz_seeds import Layout, image_files, layouts, write_layout
from mutations import damaged_bytes, damaged_text

from graft.vision.data.decoding import decode
from graft.vision.data.manifest import Ingested, build_manifest
from graft.vision.data.mask_files import MaskRule, read_instances, read_mask
from graft.vision.data.options import DecodingOptions, IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.sources.recognise import recognise
from graft.vision.errors import GraftError, UnusableImageError
from graft.vision.records import data_digest

LIMIT_S = 20.0
"""Longest that one input may take, on a busy machine."""
GROWTH_MB = 100.0
"""Most by which one input may raise the peak of memory in use."""
ADDRESSES = 2 << 30
"""Bytes that may be asked for beyond what the process has mapped when it starts."""
FAULTS_MAX = 20
MAX_PIXELS = 1_000_000
LARGEST = 60_000
"""Bytes of the largest file that is damaged: larger ones take time, and find nothing more."""
RULES = (
    DecodingOptions(max_pixels=MAX_PIXELS, short_side_px=64),
    DecodingOptions(max_pixels=MAX_PIXELS, short_side_px=None, frames="first", channels=4),
    DecodingOptions(max_pixels=MAX_PIXELS, wide="refuse", channels=1),
)
_NUMBERED = {value: value for value in range(255)}
MASK_RULES = (
    MaskRule("classes", tuple(map(str, range(255))), _NUMBERED),
    MaskRule("classes", ("a", "b"), {0: 0, 255: 1}, {(0, 0, 0): 0, (255, 255, 255): 1}),
    MaskRule("classes", ("a", "b"), _NUMBERED, pages="classes", divisor=1000),
    MaskRule("instances", ("a",), pages="first"),
    MaskRule("polygons", ("ant", "bee", "background")),
)


class Fuzz:
    """Seeds, stores, and what was found."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.folder, self.seed = folder, seed
        self.input = folder / "input"
        self.drawn, self.further = image_files(), _further_seeds(folder)
        self.images = self.drawn | self.further
        self.layouts = layouts()
        source = {name: SourceOptions.parse(of.options, name) for name, of in self.layouts.items()}
        self.options = {
            name: IngestionOptions(source=told, decoding=RULES[0], quarantine_share_max=1.0)
            for name, told in source.items()
        }
        self.store = PixelStore(folder / "pixels", RULES[0])
        self.sound = {name: self._ingest_sound(name) for name in self.layouts}
        for data in self.images.values():
            _read_image(data, random.Random(0))
        self.kinds = Counter[str]()

    def step(self, number: int) -> None:
        """Damage one input and read it. Raises whatever a reader should not have raised."""
        draw = random.Random(f"{self.seed}/{number}")
        shutil.rmtree(self.input, ignore_errors=True)
        if draw.random() < 0.5:
            self._image(draw)
        else:
            self._data_set(draw)

    def _image(self, draw: random.Random) -> None:
        pool = draw.choice([self.drawn, self.further or self.drawn])
        name, other = draw.choice(list(pool)), draw.choice(list(self.images))
        self.kinds[Path(name).suffix] += 1
        data = damaged_bytes(self.images[name], draw, self.images[other])
        self.input.mkdir()
        (self.input / Path(name).name).write_bytes(data)
        _read_image(data, draw)

    def _data_set(self, draw: random.Random) -> None:
        name = draw.choice(list(self.layouts))
        layout = self.layouts[name]
        self.kinds[name] += 1
        write_layout(self.input, layout)
        touched = _damage_one(self.input, layout, draw)
        try:
            ingested = build_manifest(self.input, self.store, self.options[name])
        except GraftError as error:
            _check_words(str(error))
            if touched in layout.own:
                raise AssertionError(f"damage to {touched} stopped the rest: {error}") from error
        else:
            _check(ingested, self.input)
            if touched in layout.own:
                _check_rest(ingested, self.sound[name], layout.own[touched])
        if draw.random() < 0.2:
            _ask(lambda: recognise(self.input))

    def _ingest_sound(self, name: str) -> Ingested:
        root = self.folder / "sound" / name
        write_layout(root, self.layouts[name])
        ingested = build_manifest(root, self.store, self.options[name])
        assert len(ingested.manifest) == len(self.layouts[name].images), ingested.quarantine
        assert ingested.quarantine.empty, (name, ingested.quarantine.to_dict("records"))
        return ingested


def _further_seeds(folder: Path) -> dict[str, bytes]:
    files = [path for path in sorted((folder / "seeds").rglob("*")) if path.is_file()]
    return {path.name: path.read_bytes() for path in files if 0 < path.stat().st_size < LARGEST}


def _read_image(data: bytes, draw: random.Random) -> None:
    try:
        decoded = decode(data, draw.choice(RULES))
    except UnusableImageError as refusal:
        _check_words(str(refusal))
    else:
        assert decoded.pixels.dtype == np.uint8 and decoded.pixels.ndim == 3
        assert decoded.pixels.size and decoded.width * decoded.height <= MAX_PIXELS
        _check_words("; ".join(decoded.notes))
    rule = draw.choice(MASK_RULES)
    if rule.kind == "instances":
        _ask(lambda: read_instances(data, rule, MAX_PIXELS))
    _ask(lambda: read_mask(data, rule, MAX_PIXELS))


def _ask(question: Callable[[], Any]) -> None:
    try:
        question()
    except GraftError as refusal:
        _check_words(str(refusal))


def _damage_one(root: Path, layout: Layout, draw: random.Random) -> str:
    """Damage one file of a data set; which one."""
    texts = [name for name in layout.texts if layout.texts[name]]
    pool = texts if texts and draw.random() < 0.85 else [*layout.images, *layout.masks]
    name = draw.choice(pool)
    path, way = root / name, draw.random()
    data = path.read_bytes()
    if way < 0.9:
        damage = damaged_text if name in texts and path.suffix != ".parquet" else damaged_bytes
        path.write_bytes(damage(data, draw, (root / draw.choice(pool)).read_bytes()))
        return name
    path.unlink()
    if way < 0.92:
        path.mkdir()
    elif way < 0.94:
        path.symlink_to("/etc/hostname")
    elif way < 0.96:
        path.symlink_to(path.name)
    elif way < 0.98:
        other = draw.choice(("\udcff", "e\u0301", "a\nb", "-x", "*"))
        path.with_name(other + path.suffix).write_bytes(data)
    return name


def _check(ingested: Ingested, root: Path) -> None:
    """What is kept can be written, lies inside, and holds no number that is none."""
    data_digest(ingested.manifest)
    _check_words(json.dumps(ingested.manifest.to_dict("records"), ensure_ascii=False))
    _check_words(json.dumps(ingested.quarantine.to_dict("records"), ensure_ascii=False))
    _check_words("\n".join(ingested.findings))
    for path in ingested.manifest["path"]:
        assert Path(os.path.realpath(root / path)).is_relative_to(os.path.realpath(root)), path
    for text in ingested.manifest["truth"]:
        truth = json.loads(text, parse_constant=_no_number)
        for x0, y0, x1, y1 in truth.get("boxes_xyxy", ()):
            assert 0 <= x0 < x1 <= truth["size_px"][0] and 0 <= y0 < y1 <= truth["size_px"][1]


def _no_number(word: str) -> None:
    raise AssertionError(f"{word} in a truth")


def _check_words(text: str) -> None:
    text.encode()  # lone surrogates could be written nowhere


def _check_rest(ingested: Ingested, sound: Ingested, image: str) -> None:
    """The images that the damaged file is not about are as they were."""
    columns = ["id", "sha256", "truth", "given_split"]
    kept, was = (
        of.manifest[of.manifest["id"] != image][columns].to_numpy(object).tolist()
        for of in (ingested, sound)
    )
    assert sorted(kept) == sorted(was), "other images than the damaged one changed"


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _limit_addresses() -> None:
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + ADDRESSES,) * 2)


def _keep(fuzz: Fuzz, number: int, what: str) -> None:
    kept = fuzz.folder / "faults" / f"{fuzz.seed}-{number}"
    if fuzz.input.exists():
        shutil.copytree(fuzz.input, kept, symlinks=True, dirs_exist_ok=True)
    print(
        json.dumps({"seed": fuzz.seed, "step": number, "input": str(kept), "fault": what}),
        flush=True,
    )


def main(folder: Path, seed: str, seconds: float, only: int | None) -> None:
    """Step after step until the time is over, or the one asked for."""
    faulthandler.enable()
    fuzz = Fuzz(folder, seed)
    _limit_addresses()
    ends, faults, peak, number = time.monotonic() + seconds, 0, _peak_mb(), 0
    for number in itertools.count() if only is None else [only]:
        if (only is None and time.monotonic() > ends) or faults >= FAULTS_MAX:
            break
        (folder / "step").write_text(str(number))
        faulthandler.dump_traceback_later(LIMIT_S, exit=True)
        try:
            fuzz.step(number)
        except Exception:
            faults += 1
            _keep(fuzz, number, traceback.format_exc(limit=-4))
        faulthandler.cancel_dump_traceback_later()
        grown, peak = _peak_mb() - peak, max(peak, _peak_mb())
        if grown > GROWTH_MB:
            faults += 1
            _keep(fuzz, number, f"memory grew by {grown:.0f} MB")
    told = {"seed": seed, "steps": number, "peak_mb": round(peak), "kinds": fuzz.kinds}
    print(json.dumps(told))


if __name__ == "__main__":
    main(
        Path(sys.argv[1]),
        sys.argv[2],
        float(sys.argv[3]),
        int(sys.argv[4]) if len(sys.argv) > 4 else None,
    )
