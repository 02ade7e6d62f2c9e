"""Decoding: upright uint8 pixels by the stated rule, or one stated refusal; nothing in silence."""

import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from graft.vision.data.decoding import Decoded, DecodingOptions, decode
from graft.vision.data.options import stored_size
from graft.vision.errors import OptionsError, UnusableImageError
from image_bombs import chunk, file_of, picture, png_of, tiled_tiff

# pytest sets aside the one filter that decoding keeps on Pillow's many warnings.
pytestmark = pytest.mark.filterwarnings("ignore")

RULE = DecodingOptions()
LOSSY = ("JPEG", "AVIF")
TURNED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How a camera lays the picture down for each orientation: the inverse of what makes it upright."""


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def reason(data: bytes, **options) -> str:
    with pytest.raises(UnusableImageError) as refusal:
        decode(data, DecodingOptions(**options))
    return str(refusal.value)


# --- upright -------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_decode__gives_one_upright_array_for_eight_orientations(form) -> None:
    more = {"quality": 97, "subsampling": "4:4:4"} if form in LOSSY else {}
    more |= {"lossless": True} if form == "WEBP" else {}
    for orientation, turn in TURNED.items():
        stored = Image.fromarray(picture())
        stored = stored.transpose(turn) if turn is not None else stored
        decoded = decode(file_of(stored, form, exif=exif(orientation), **more), RULE)
        assert decoded.pixels.shape == (24, 40, 3)
        assert (decoded.width, decoded.height) == (40, 24)
        off = np.abs(decoded.pixels.astype(int) - picture()).max()
        assert off <= (12 if form in LOSSY else 0), f"orientation {orientation} of {form}"


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_decode__ignores_orientations_that_do_not_exist_and_says_so(orientation) -> None:
    decoded = decode(file_of(picture(), exif=exif(orientation)), RULE)
    np.testing.assert_array_equal(decoded.pixels, picture())
    assert decoded.notes == (f"exif orientation {orientation} ignored",)


def test_decode__keeps_sound_pixels_beside_a_damaged_exif_block() -> None:
    data = file_of(picture(), "JPEG", quality=97, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(data, RULE).pixels.shape == (24, 40, 3)


def test_decode__agrees_with_pillow_on_real_oriented_files(real_data: Path) -> None:
    for path in sorted((real_data / "bad_images/exif_orientation").iterdir()):
        with Image.open(path) as image:
            truth = np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
        decoded = decode(path.read_bytes(), DecodingOptions(short_side_px=None))
        if "alpha laid on grey" not in decoded.notes:
            np.testing.assert_array_equal(decoded.pixels, truth, err_msg=path.name)


# --- the rule, by what a file holds --------------------------------------------------------------


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "PPM", "TGA", "GIF"])
def test_decode__returns_grey_pixels_as_they_are(form) -> None:
    grey = picture()[:, :, 0]
    decoded = decode(file_of(grey, form), RULE)
    assert decoded.pixels.dtype == np.uint8 and decoded.notes == ()
    np.testing.assert_array_equal(decoded.pixels, np.repeat(grey[:, :, None], 3, axis=2))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_decode__gives_the_channels_asked_for(channels) -> None:
    for image in (picture(), picture()[:, :, 0], np.dstack([picture(), picture()[:, :, :1]])):
        decoded = decode(file_of(image), DecodingOptions(channels=channels))
        assert decoded.pixels.shape == (24, 40, channels)
        assert decoded.channels == (image.shape[2] if image.ndim == 3 else 1)


@pytest.mark.parametrize(("form", "mode"), [("PNG", "I;16"), ("TIFF", "I;16"), ("TIFF", "F")])
def test_decode__scales_wide_grey_from_its_own_range(form, mode) -> None:
    values = np.linspace(1000, 1000 + 24 * 40 - 1, 24 * 40).reshape(24, 40)
    image = Image.fromarray(values.astype(np.uint16 if mode == "I;16" else np.float32))
    decoded = decode(file_of(image, form), DecodingOptions(channels=1))
    np.testing.assert_array_equal(
        decoded.pixels[:, :, 0], np.round((values - 1000) * 255 / (24 * 40 - 1))
    )
    assert decoded.notes == (f"{mode} scaled from 1000..1959",)
    assert "more than 8 bits" in reason(file_of(image, form), wide="refuse")


@pytest.mark.parametrize("ending", [".png", ".tiff", ".ppm"])
def test_decode__scales_wide_colour_from_its_own_range_or_refuses_it(ending) -> None:
    y, x = np.mgrid[0:24, 0:40]
    wide = np.stack([x * 600, y * 500, (x + y) * 300], axis=2).astype(np.uint16) + 5000
    data = bytes(cv2.imencode(ending, wide[:, :, ::-1])[1])
    decoded = decode(data, RULE)
    truth = (wide - 5000.0) * 255 / int((wide - 5000).max())
    assert np.abs(decoded.pixels - truth).max() < 4
    assert decoded.notes[0].startswith("upper 8 bits of RGB;16 scaled from 19..11")
    assert "more than 8 bits" in reason(data, wide="refuse")
    lower = bytes(cv2.imencode(ending, wide // 16)[1])  # 12 bits of 16, as scanners write them
    assert "upper 8 tell too little" in reason(lower)


def test_decode__lays_the_alpha_of_wide_colour_on_grey() -> None:
    wide = np.zeros((4, 6, 4), np.uint16)
    wide[:, :3, :3], wide[:, 3:, 3] = 65535, 65535
    decoded = decode(bytes(cv2.imencode(".png", wide)[1]), RULE)
    assert np.unique(decoded.pixels[:, :3]).tolist() == [128]
    assert np.unique(decoded.pixels[:, 3:]).tolist() == [0]


@pytest.mark.parametrize("fill", [0, 1234, 65535])
def test_decode__refuses_wide_images_that_are_constant(fill) -> None:
    data = file_of(np.full((9, 9), fill, np.uint16))
    assert f"is constant ({fill} everywhere)" in reason(data)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_decode__refuses_floats_that_are_not_finite(value) -> None:
    values = np.ones((9, 9), np.float32)
    values[3, 4] = value
    assert "not finite" in reason(file_of(values, "TIFF"))


def test_decode__shows_a_palette_in_its_colours() -> None:
    image = Image.fromarray(picture()).quantize(16)
    decoded = decode(file_of(image), RULE)
    np.testing.assert_array_equal(decoded.pixels, np.asarray(image.convert("RGB")))
    assert decoded.notes == ()


def test_decode__lays_transparent_palette_entries_on_grey() -> None:
    image = Image.new("P", (6, 4))
    image.putpalette([200, 10, 20, 0, 250, 0])
    image.paste(1, (3, 0, 6, 4))
    data = file_of(image, transparency=1)
    decoded = decode(data, RULE)
    assert np.unique(decoded.pixels[:, 3:]).tolist() == [128]
    assert decoded.pixels[0, 0].tolist() == [200, 10, 20]
    assert decoded.notes == ("alpha laid on grey",)
    kept = decode(data, DecodingOptions(channels=4)).pixels
    assert kept[0, 0].tolist() == [200, 10, 20, 255] and kept[0, 4].tolist() == [0, 250, 0, 0]


@given(value=st.integers(0, 255), alpha=st.integers(0, 255))
@settings(max_examples=40, deadline=None)
def test_decode__mixes_alpha_with_mid_grey(value, alpha) -> None:
    pixel = np.full((1, 1, 4), value, np.uint8)
    pixel[0, 0, 3] = alpha
    mixed = decode(file_of(pixel), RULE).pixels[0, 0, 0]
    assert abs(int(mixed) - (value * alpha + 128 * (255 - alpha)) / 255) <= 0.51


@pytest.mark.parametrize(
    ("mode", "form", "off"),
    [("CMYK", "JPEG", 4), ("CMYK", "TIFF", 0), ("LAB", "TIFF", 2), ("YCbCr", "TIFF", 2)],
)
def test_decode__converts_other_colour_spaces_and_says_so(mode, form, off) -> None:
    data = file_of(Image.fromarray(picture()).convert(mode), form)
    decoded = decode(data, RULE)
    assert np.abs(decoded.pixels.astype(int) - picture()).mean() <= off
    assert decoded.notes == (f"converted from {mode}",)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "PPM"])
def test_decode__shows_one_bit_as_black_and_white(form) -> None:
    bits = picture()[:, :, 0] > 100
    decoded = decode(file_of(Image.fromarray(bits), form), DecodingOptions(channels=1))
    np.testing.assert_array_equal(decoded.pixels[:, :, 0], bits * np.uint8(255))


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP", "TIFF"])
def test_decode__refuses_several_frames_or_takes_the_first(form) -> None:
    first, second = (Image.fromarray(picture()[:, :, n]).convert("RGB") for n in (0, 1))
    more = {"lossless": True} if form == "WEBP" else {}
    data = file_of(first, form, save_all=True, append_images=[second], **more)
    assert "several frames" in reason(data)
    decoded = decode(data, DecodingOptions(frames="first"))
    np.testing.assert_array_equal(decoded.pixels, np.asarray(first))
    assert "first of several frames" in decoded.notes


@pytest.mark.parametrize("side", [8, 19, 24, 100])
def test_decode__reduces_to_the_short_side_and_keeps_the_original_size(side) -> None:
    decoded = decode(file_of(picture()), DecodingOptions(short_side_px=side))
    assert decoded.pixels.shape == (min(side, 24), round(40 * min(side, 24) / 24), 3)
    assert (decoded.width, decoded.height) == (40, 24)


@pytest.mark.parametrize("form", ["PNG", "JPEG"])
@pytest.mark.parametrize(
    ("shorter", "kept"), [(39, 39), (40, 40), (41, 41), (50, 50), (51, 40), (60, 40), (400, 40)]
)
def test_decode__reduces_only_what_is_larger_by_more_than_a_quarter(shorter, kept, form) -> None:
    pixels, longer = picture(shorter, 2 * shorter), round(2 * shorter * kept / shorter)
    for image in (pixels, pixels.transpose(1, 0, 2)):
        data = file_of(np.ascontiguousarray(image), form)
        found = decode(data, DecodingOptions(short_side_px=40))
        whole = decode(data, DecodingOptions(short_side_px=None))
        assert sorted(found.pixels.shape[:2]) == [kept, longer]
        assert stored_size(whole.width, whole.height, 40) == found.pixels.shape[1::-1]
        assert (kept == shorter) == np.array_equal(found.pixels, whole.pixels)


@pytest.mark.parametrize("shape", [(960, 640), (962, 641), (480, 720)], ids=str)
def test_decode__reduces_by_averages_that_stay_in_place(shape: tuple[int, int]) -> None:
    y, x = np.mgrid[: shape[0], : shape[1]]
    ramps = np.stack([x * 255 / shape[1], y * 255 / shape[0], 255 * (x % 2)], axis=2)
    found = decode(file_of(ramps.astype(np.uint8)), DecodingOptions(short_side_px=70)).pixels
    places = [(np.arange(side) + 0.5) * 255 / side for side in found.shape[:2]]
    assert np.abs(found[:, :, 0] - places[1][None]).max() <= 1.5
    assert np.abs(found[:, :, 1] - places[0][:, None]).max() <= 1.5
    assert np.abs(found[:, :, 2] - 127.5).max() <= 16  # stripes of one pixel leave no pattern


@pytest.mark.parametrize("shape", [(640, 961), (321, 480), (166, 250), (160, 170)], ids=str)
@pytest.mark.parametrize("orientation", [1, 6])
def test_decode__reduces_jpegs_as_it_does_other_files(shape: tuple[int, int], orientation) -> None:
    """Whether in part while they are decoded or afterwards; the original's size is kept."""
    image = Image.fromarray(cv2.resize(picture(), shape[::-1], interpolation=cv2.INTER_CUBIC))
    exif = Image.Exif()
    exif[274] = orientation
    rule = DecodingOptions(short_side_px=40)
    found, plain = (
        decode(file_of(image, form, exif=exif, **more), rule)
        for form, more in (("JPEG", {"quality": 100, "subsampling": 0}), ("PNG", {}))
    )
    assert (found.width, found.height) == (plain.width, plain.height)
    assert sorted((found.width, found.height)) == sorted(shape)
    assert found.pixels.shape == plain.pixels.shape
    assert np.abs(found.pixels.astype(int) - plain.pixels).max() <= 8


def jpeg2000_of(pixels: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".jp2", pixels[:, :, ::-1])[1])


def test_decode__knows_wide_colours_of_jpeg2000() -> None:
    """Pillow says RGB of them: 12 bits of 16 would be nearly black, and nobody would know."""
    eight = picture(64, 96)
    wide = eight.astype(np.uint16) * 257
    assert decode(jpeg2000_of(wide), RULE).notes[0].startswith("upper 8 bits of RGB;16 scaled")
    assert "more than 8 bits" in reason(jpeg2000_of(wide), wide="refuse")
    assert "upper 8 tell too little" in reason(jpeg2000_of(wide // 16))
    assert decode(jpeg2000_of(eight), RULE).notes == ()


def test_decode__converts_wide_cmyk_only_where_its_upper_bits_tell_enough(real_data: Path) -> None:
    data = (real_data / "bad_images/cmyk_ycck_lab/tiff_strip_cmyk_16l_jpeg.tif").read_bytes()
    eight = (real_data / "bad_images/cmyk_ycck_lab/tiff_strip_cmyk_jpeg.tif").read_bytes()
    assert decode(data, RULE).notes == ("converted from CMYK;16",)
    assert np.abs(decode(data, RULE).pixels.astype(int) - decode(eight, RULE).pixels).mean() < 3
    assert "more than 8 bits" in reason(data, wide="refuse")


def test_decode__lays_the_value_that_wide_grey_declares_transparent_on_grey() -> None:
    values = np.linspace(1000, 2000, 24 * 40).reshape(24, 40).astype(np.uint16)
    values[:, :10] = 65535  # as scanners mark what they have not seen; it would darken all else
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 40, 24, 16, 0, 0, 0, 0))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    clear, body = chunk(b"tRNS", struct.pack(">H", 65535)), chunk(b"IDAT", zlib.compress(rows))
    data = b"\x89PNG\r\n\x1a\n" + header + clear + body + chunk(b"IEND", b"")
    decoded = decode(data, RULE)
    assert np.unique(decoded.pixels[:, :10]).tolist() == [128]
    assert (decoded.pixels[:, 10:].min(), decoded.pixels[:, 10:].max()) == (0, 255)
    assert decoded.notes[1] == "alpha laid on grey"
    kept = decode(data, DecodingOptions(channels=4)).pixels[:, :, 3]
    assert np.unique(kept[:, :10]).tolist() == [0] and np.unique(kept[:, 10:]).tolist() == [255]


def test_decode__notes_where_damage_cannot_be_seen() -> None:
    bits = Image.fromarray(picture()[:, :, 0] > 100)
    fax = decode(file_of(bits, "TIFF", compression="group4"), RULE)
    assert fax.notes == ("fax compression hides damage",)
    assert decode(file_of(bits, "TIFF", compression="tiff_lzw"), RULE).notes == ()


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "the file is empty"),
        (b"this is no image\n", "not an image that can be read"),
        (b"<!doctype html><html>404 not found</html>", "not an image that can be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image that can be read"),
        (b"\xff\xd8\xff", "not an image that can be read"),
        (b"\0" * 500, "not an image that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image that can be read"),
    ],
)
def test_decode__refuses_what_is_no_image(data, why) -> None:
    assert why in reason(data)


FORMS = {
    "png": file_of(picture()),
    "grey png": file_of(picture()[:, :, 0]),
    "png with exif": file_of(picture(), exif=exif(6)),
    "jpeg": file_of(picture(), "JPEG"),
    "progressive jpeg": file_of(picture(), "JPEG", progressive=True),
    "gif": file_of(picture(), "GIF"),
    "bmp": file_of(picture(), "BMP"),
    "tiff": file_of(picture(), "TIFF"),
    "lzw tiff": file_of(picture(), "TIFF", compression="tiff_lzw"),
    "webp": file_of(picture(), "WEBP"),
    "ppm": file_of(picture(), "PPM"),
    "tga": file_of(picture(), "TGA", compression="tga_rle"),
    "wide grey png": file_of(picture()[:, :, 0].astype(np.uint16) * 99),
    "wide png": bytes(cv2.imencode(".png", picture().astype(np.uint16) * 257)[1]),
    "wide tiff": bytes(cv2.imencode(".tiff", picture().astype(np.uint16) * 257)[1]),
}


@pytest.mark.parametrize("form", FORMS)
def test_decode__refuses_a_file_cut_anywhere_or_loses_no_pixel(form) -> None:
    data = FORMS[form]
    whole = decode(data, RULE).pixels
    for end in np.unique(np.linspace(0, len(data) - 1, 150, dtype=int)):
        try:
            cut = decode(data[:end], RULE).pixels
        except UnusableImageError:
            continue
        np.testing.assert_array_equal(cut, whole, err_msg=f"{form} cut at {end} of {len(data)}")


def test_decode__refuses_a_png_whose_pixels_are_damaged_beside_its_exif() -> None:
    """A PNG loads itself when its EXIF is asked for: that must not swallow the damage."""
    data = bytearray(file_of(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)))
    data[len(data) // 2] ^= 0xFF
    assert "cannot be decoded" in reason(bytes(data))


@settings(max_examples=1000, deadline=None)
@given(
    form=st.sampled_from(sorted(FORMS)),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    cut=st.floats(0.5, 1),
    mend=st.booleans(),
)
@example(form="png", edits=[(0.01, 255)], cut=1.0, mend=True)
def test_decode__raises_nothing_but_its_refusal_on_mutated_files(form, edits, cut, mend) -> None:
    data = bytearray(FORMS[form])
    for place, value in edits:
        data[int(place * len(data))] = value
    data = data[: int(cut * len(data))]
    try:
        decoded = decode(with_right_checksums(bytes(data)) if mend else bytes(data), RULE)
    except UnusableImageError as refusal:
        assert str(refusal)
    else:
        assert_sound(decoded)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=200), magic=st.sampled_from(sorted(FORMS)))
def test_decode__raises_nothing_but_its_refusal_on_junk_behind_a_magic(data, magic) -> None:
    try:
        assert_sound(decode(FORMS[magic][:16] + data, RULE))
    except UnusableImageError as refusal:
        assert str(refusal)


def with_right_checksums(data: bytes) -> bytes:
    """A mutated PNG whose checksums are right again, so that the mutation comes further in."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    out, place = data[:8], 8
    while place + 12 <= len(data):
        length = struct.unpack(">I", data[place : place + 4])[0]
        kind, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        out += chunk(kind, body)
        place += 12 + length
    return out


def assert_sound(decoded: Decoded) -> None:
    assert decoded.pixels.dtype == np.uint8
    assert decoded.pixels.ndim == 3 and decoded.pixels.shape[2] == 3
    assert decoded.pixels.size > 0 and decoded.width * decoded.height <= RULE.max_pixels
    assert decoded.channels in (1, 3, 4)


def test_decode__decodes_or_refuses_every_bad_image(real_data: Path) -> None:
    files = sorted(
        path
        for path in (real_data / "bad_images").rglob("*")
        if path.is_file() and path.name != "listing.csv"
    )
    assert len(files) == 220
    for options in (RULE, DecodingOptions(frames="first", wide="refuse", channels=1)):
        refused = {}
        for path in files:
            try:
                decode(path.read_bytes(), options)
            except UnusableImageError as refusal:
                refused[path.name] = str(refusal)
        assert 60 < len(refused) < 140
        assert not [name for name, why in refused.items() if "KeyError" in why]
        for name in ("half.jpg", "zero_bytes.jpg", "text.png", "huge_20000x20000_1bit.png"):
            assert name in refused
        for name in ("broken_data_stream.png", "truncated_image.png", "html_error_page.jpg"):
            assert name in refused


# --- bombs (files that state or hold too much: tests/faults/test_image_roads.py) ------------------


def test_decode__refuses_a_jpeg_of_very_many_scans() -> None:
    """75 bytes each, and each goes over all pixels: a file of 75 kB would take half a minute."""
    data = file_of(Image.new("L", (640, 640), 100), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert decode(data[:-2] + last * 20 + data[-2:], RULE).pixels.mean() == 100
    assert "too many scans" in reason(data[:-2] + last * 200 + data[-2:])


def test_decode__refuses_tiles_far_larger_than_the_image() -> None:
    assert decode(tiled_tiff(10, 16), RULE).pixels.shape == (10, 10, 3)
    assert decode(tiled_tiff(250, 256), RULE).pixels.shape == (250, 250, 3)
    assert "tiles far larger" in reason(tiled_tiff(10, 8192))


@pytest.mark.parametrize(("width", "height"), [(5000, 1), (1, 51), (1020, 20)])
def test_decode__refuses_what_is_too_oblong_for_a_square_view(width, height) -> None:
    assert f"{width}x{height}" in reason(file_of(Image.new("RGB", (width, height))))
    assert decode(file_of(Image.new("RGB", (50, 1))), RULE).width == 50


WIDE = """
import sys
from pathlib import Path
import torch  # which reduces images: a process holds it once, however many there are
from graft.vision.data.decoding import DecodingOptions, decode

def peak_mb():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

data, before = Path(sys.argv[1]).read_bytes(), peak_mb()
decode(data, DecodingOptions())
print(peak_mb() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads peak memory from /proc")
def test_decode__of_wide_pixels_takes_little_more_than_they_hold(tmp_path: Path) -> None:
    values = np.zeros((5000, 5000), np.uint16)
    values[0, 0] = 1000
    (tmp_path / "wide.png").write_bytes(file_of(values))
    done = subprocess.run(
        [sys.executable, "-c", WIDE, str(tmp_path / "wide.png")],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert float(done.stdout) < 250  # 50 MB of file, 50 of array, 25 of result; in floats 700


def test_decoding_options__allow_no_more_pixels_than_pillow_opens() -> None:
    with pytest.raises(OptionsError, match="max_pixels"):
        DecodingOptions.parse({"max_pixels": 500_000_000}, "test")
    forged = png_of(100_000, 100_000, 8, 2, b"\0" * 64)
    assert "too many pixels; found: 10000000000; allowed: 50000000" in reason(forged)


def test_decode__refuses_one_pixel_more_than_allowed() -> None:
    data = file_of(picture())
    assert decode(data, DecodingOptions(max_pixels=24 * 40)).width == 40
    said = reason(data, max_pixels=24 * 40 - 1)
    assert "40x24" in said and "959" in said


# --- no trace ------------------------------------------------------------------------------------


def test_decode__leaves_the_warnings_of_others_alone() -> None:
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: decode(FORMS["jpeg"], RULE), range(200)))
    assert warnings.filters == before


def test_decoding_options__have_another_digest_when_pixels_differ() -> None:
    kinds = [
        DecodingOptions(),
        DecodingOptions(short_side_px=None),
        DecodingOptions(channels=1),
        DecodingOptions(frames="first"),
        DecodingOptions(wide="refuse"),
    ]
    assert all(a.digest != b.digest for a, b in pairwise(kinds))
    assert DecodingOptions().digest == DecodingOptions().digest
