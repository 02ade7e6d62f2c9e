"""Bad images on every road: each usable with its right pixels or refused with a reason.

None crashes, hangs, or takes more than 100 MB: damaged files, bombs, forged headers, files of very
many frames; into ingestion, monitoring, serving, masks, and within DICOM.
"""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from image_roads import digest_of_pixels
from PIL import Image, ImageOps

from graft.vision.data.decoding import ASPECT_MAX, FORMATS, decode
from graft.vision.data.options import DecodingOptions
from image_bombs import bombs, file_of, picture

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="reads peak memory from /proc"
)
GROWTH_MB = 100
HERE = Path(__file__).parent
SAME_RULE = ("decoding", "ingestion", "monitoring", "serving bytes", "serving paths")
"""The roads on which a file must come to the same end."""


@dataclass
class Taken:
    """What became of the files, by road; ``bad`` says whether the bad images are among them."""

    outcomes: dict[str, dict[str, dict[str, str]]]
    grown_mb: dict[str, float]
    kept_mb: float
    bad: Path | None


@pytest.fixture(scope="module")
def taken(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Taken:
    """The bad images where they are, and files made here, taken over every road."""
    folder, work = tmp_path_factory.mktemp("images"), tmp_path_factory.mktemp("work")
    real, dicom = _real_data(request), tmp_path_factory.mktemp("no_dicom")
    if real is not None:
        _copy(real / "bad_images", folder)
        dicom = real / "dicom"
    _lay_made(folder)
    done = subprocess.run(
        [sys.executable, str(HERE / "image_roads.py"), str(folder), str(work), str(dicom)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["src", str(HERE.parent)])},
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((work / "outcomes.json").read_text())
    print(f"base {found['base_mb']} MB, kept {found['kept_mb']}, grown {found['grown_mb']}")
    bad = folder if real is not None else None
    return Taken(found["outcomes"], found["grown_mb"], found["kept_mb"], bad)


def _real_data(request: pytest.FixtureRequest) -> Path | None:
    try:
        return Path(request.getfixturevalue("real_data"))
    except pytest.skip.Exception:
        return None


def _copy(source: Path, folder: Path) -> None:
    """Plain copies that can be removed again."""
    for path in (path for path in source.rglob("*") if path.is_file()):
        target = folder / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _lay_made(folder: Path) -> None:
    (folder / "bombs").mkdir()
    for name, data in bombs().items():
        (folder / "bombs" / name).write_bytes(data)
    assert (folder / "bombs/20000x20000.png").stat().st_size < 60_000
    (folder / "sound").mkdir()
    (folder / "sound/picture.png").write_bytes(file_of(picture()))


def test_images__take_little_memory_on_any_road(taken: Taken) -> None:
    assert max(taken.grown_mb.values()) < GROWTH_MB, taken.grown_mb
    assert taken.kept_mb < GROWTH_MB, "after all roads together"


def test_images__come_to_one_end_on_every_road_that_decodes(taken: Taken) -> None:
    """One hash of pixels, or one reason."""
    first = taken.outcomes["decoding"]
    for road in SAME_RULE[1:]:
        for name, found in taken.outcomes[road].items():
            # Raw data are read by their endings: others are refused unread.
            unread = road == "ingestion" and "no image file" in found.get("refused", "")
            assert unread or found == first[name], f"{name} by {road}"
    assert taken.outcomes["serving bytes"].keys() == taken.outcomes["serving paths"].keys()
    assert taken.outcomes["serving bytes"].keys() == first.keys()
    images = {name for name in first if not name.endswith(".csv") and "/." not in name}
    assert taken.outcomes["ingestion"].keys() >= images
    # Served images of one content are one image; each content that can be used is there.
    kept = {found["usable"] for found in first.values() if "usable" in found}
    served = taken.outcomes["monitoring"].values()
    assert {found["usable"] for found in served if "usable" in found} == kept


def test_bombs__are_refused_by_every_road(taken: Taken) -> None:
    assert taken.outcomes["decoding"]["sound/picture.png"] == {
        "usable": digest_of_pixels(decode(file_of(picture()), DecodingOptions()).pixels)
    }
    roads = [road for road in taken.outcomes if road not in ("real DICOM", "monitoring")]
    for road in roads:
        found = {name: end for name, end in taken.outcomes[road].items() if "bombs/" in name}
        assert len(found) == 15
        # Of many small frames the first may be asked for.
        first = FRAMES if road == "decoding by another rule" else set()
        assert {name for name, end in found.items() if "usable" in end} == first, road
        assert all(end["refused"] for end in found.values() if "refused" in end)


FRAMES = {f"bombs/{name}" for name in ("frames.gif", "pages.tif", "pages_that_grow.tif")}


def test_bad_images__are_decoded_or_refused_as_their_listing_says(taken: Taken) -> None:
    """220 files: what Pillow cannot load is refused; what it can has its pixels, by our rule."""
    if taken.bad is None:
        pytest.skip("real data not found; set GRAFT_REAL_DATA to run this test")
    with (taken.bad / "listing.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 220
    for row in rows:
        found, reason = taken.outcomes["decoding"][row["file"]], refusal_of(row)
        assert ("refused" in found) == bool(reason), f"{row['file']}: {found}"
        assert re.search(reason, found.get("refused", "")), f"{row['file']}: {found}"
    assert sum("usable" in taken.outcomes["decoding"][row["file"]] for row in rows) == 106


def test_bad_images__that_are_usable_have_the_pixels_that_pillow_shows(taken: Taken) -> None:
    if taken.bad is None:
        pytest.skip("real data not found; set GRAFT_REAL_DATA to run this test")
    compared = 0
    for name, found in taken.outcomes["decoding"].items():
        path = taken.bad / name
        if "usable" not in found or path.suffix == ".dcm":
            continue
        decoded = decode(path.read_bytes(), DecodingOptions(short_side_px=None))
        assert (
            digest_of_pixels(decode(path.read_bytes(), DecodingOptions()).pixels)
            == (found["usable"])
        )
        if not any("scaled" in note or "alpha" in note for note in decoded.notes):
            np.testing.assert_array_equal(decoded.pixels, _by_pillow(path), err_msg=name)
            compared += 1
    assert compared > 70


def refusal_of(row: dict[str, Any]) -> str:
    """The reasons for which a file may be refused, by what Pillow does with it; empty for none."""
    if row["file"] == "wild/MR_small.dcm":
        return ""
    if row["outcome"].startswith("open fails") or row["format"] not in (*FORMATS, "MPO"):
        return "not an image that can be read|cannot be decoded|too many pixels|no pixels|is empty"
    width, height = map(int, row["size"].split("x"))
    if row["frames"].isdigit() and row["frames"] != "1":
        return "several frames|cannot be decoded"
    if width * height > DecodingOptions().max_pixels:
        return "too many pixels"
    if max(width, height) > ASPECT_MAX * min(width, height) > 0:
        return "too oblong"
    if row["file"].endswith("nan_inf_float.tif"):
        return "not finite"
    damaged = row["exif_orientation"].startswith("ERR OSError")  # found while EXIF is looked for
    return "cannot be decoded|no pixels" if damaged or row["load"] != "ok" else ""


def _by_pillow(path: Path) -> np.ndarray:
    with warnings.catch_warnings(), Image.open(path) as image:
        warnings.simplefilter("ignore")
        return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
