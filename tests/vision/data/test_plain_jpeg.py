"""Plain JPEGs: read by a faster way, and to the bit and the word what Pillow reads or refuses."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graft.vision.data import decoding
from graft.vision.data.decoding import DecodingOptions, decode
from graft.vision.data.jpeg import read_plain_jpeg, reduction_of
from graft.vision.errors import UnusableImageError

pytest.importorskip("simplejpeg")
# pytest sets aside the one filter that decoding keeps on Pillow's many warnings.
pytestmark = pytest.mark.filterwarnings("ignore")

WHOLE, REDUCED = DecodingOptions(short_side_px=None), DecodingOptions(short_side_px=48)
FORMS = {
    f"{mode} {kind} {quality} {layout}": (mode, quality, more | lines)
    for mode in ("L", "RGB")
    for kind, more in {
        "baseline": {},
        "progressive": {"progressive": True},
        "restarting": {"restart_marker_blocks": 3},
    }.items()
    for quality in (30, 100)
    for layout, lines in (
        {"one layout": {}}
        if mode == "L"
        else {"4:4:4": {"subsampling": 0}, "4:2:2": {"subsampling": 1}, "4:2:0": {"subsampling": 2}}
    ).items()
}


def jpeg_of(mode: str, quality: int, more: dict, height: int = 61, width: int = 83) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (height // 4 + 1, width // 4 + 1, 3))
    image = Image.fromarray(noise.astype(np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    out = io.BytesIO()
    image.convert(mode).save(out, "JPEG", quality=quality, **more)
    return out.getvalue()


def read(data: bytes) -> np.ndarray | None:
    with Image.open(io.BytesIO(data)) as image:
        return read_plain_jpeg(image, data)


def outcome(data: bytes, rule: DecodingOptions = WHOLE) -> tuple:
    """All that `decode` says of a file."""
    try:
        found = decode(data, rule)
    except UnusableImageError as refusal:
        return (str(refusal),)
    size = (found.width, found.height, found.channels, found.notes)
    return (*size, found.pixels.shape, found.pixels.tobytes())


def outcome_by_pillow(data: bytes, rule: DecodingOptions = WHOLE) -> tuple:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "read_plain_jpeg", lambda image, data, reduction: None)
        return outcome(data, rule)


@pytest.mark.parametrize("form", FORMS)
def test_plain_jpeg__is_read_bit_for_bit_as_pillow_reads_it(form) -> None:
    for height, width in ((61, 83), (16, 16), (7, 100)):
        data = jpeg_of(*FORMS[form], height, width)
        with Image.open(io.BytesIO(data)) as image:
            wanted = np.asarray(image).reshape(height, width, -1)
        np.testing.assert_array_equal(read(data), wanted)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("size", "reduction"), [((61, 83), 2), ((64, 70), 4), ((129, 131), 8)])
def test_plain_jpeg__that_is_reduced_is_what_pillow_reduces(form, size, reduction) -> None:
    data, rule = jpeg_of(*FORMS[form], *size), DecodingOptions(short_side_px=8)
    with Image.open(io.BytesIO(data)) as image:
        assert reduction_of(image, 8) == reduction
        pixels = read_plain_jpeg(image, data, reduction)
    assert pixels is not None
    assert pixels.shape[:2] == tuple(-(-side // reduction) for side in size)
    assert outcome(data, rule) == outcome_by_pillow(data, rule)


@pytest.mark.parametrize(
    ("mode", "form", "more"),
    [("CMYK", "JPEG", {}), ("RGB", "PNG", {}), ("RGB", "MPO", {}), ("RGB", "JPEG2000", {})],
)
def test_plain_jpeg__is_no_other_format(mode, form, more) -> None:
    out = io.BytesIO()
    Image.new(mode, (16, 16)).save(out, form, **more)
    if form == "MPO":
        out = io.BytesIO()
        Image.new(mode, (16, 16)).save(
            out, form, save_all=True, append_images=[Image.new(mode, (16, 16))]
        )
    assert read(out.getvalue()) is None


@pytest.mark.parametrize("cut", [10, 200, 0.5, -3, -2, -1])
def test_plain_jpeg__that_is_cut_is_left_to_pillow(cut) -> None:
    data = jpeg_of("RGB", 75, {})
    data = data[: int(len(data) * cut) if isinstance(cut, float) else cut]
    assert outcome(data) == outcome_by_pillow(data)


def test_plain_jpeg__of_another_frame_is_left_to_pillow() -> None:
    data = bytearray(jpeg_of("L", 75, {}))
    data[data.index(b"\xff\xc0") + 1] = 0xC3  # lossless
    assert outcome(bytes(data)) == outcome_by_pillow(bytes(data))


@settings(max_examples=150, deadline=None)
@given(
    form=st.sampled_from(sorted(FORMS)),
    edits=st.lists(
        st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255), st.booleans()), max_size=4
    ),
    gone=st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 9)),
)
def test_plain_jpeg__that_is_damaged_has_the_fate_that_pillow_gives_it(form, edits, gone) -> None:
    data = bytearray(jpeg_of(*FORMS[form]))
    for place, value, in_head in edits:
        data[int(place * (min(len(data), 700) if in_head else len(data)))] = value
    start = int(gone[0] * len(data))
    del data[start : start + gone[1]]
    for rule in (WHOLE, DecodingOptions(short_side_px=8)):
        assert outcome(bytes(data), rule) == outcome_by_pillow(bytes(data), rule)


def test_plain_jpeg__of_real_sets_is_what_pillow_makes_of_it(real_data: Path) -> None:
    found = [
        path
        for folder, step in (("bad_images", 1), ("hymenoptera", 8), ("bccd", 20), ("car_coco", 40))
        for path in sorted((real_data / folder).rglob("*.jp*g"))[::step]
    ]
    assert len(found) > 100
    for path in found:
        data = path.read_bytes()
        assert outcome(data) == outcome_by_pillow(data), path
        assert outcome(data, REDUCED) == outcome_by_pillow(data, REDUCED), path
