"""Mask files: every pixel is named by the rule or the file is refused."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graft.vision.data.mask_files import (
    MaskRule,
    names_present,
    number_names,
    read_instances,
    read_mask,
)
from graft.vision.data.masks import IGNORED, decode_mask, encode_mask
from graft.vision.errors import UnusableImageError

NAMES = ("sky", "road", "car")
INDEX = MaskRule("classes", NAMES, {0: 0, 1: 1, 2: 2, 255: IGNORED})
COLOURS = MaskRule(
    "classes",
    NAMES,
    {0: 0, 1: 1, 2: 2},
    {(70, 130, 180): 0, (128, 64, 128): 1, (0, 0, 142): 2, (0, 0, 0): IGNORED},
)
VALUES = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
LIMIT = 10_000


def file_of(pixels: np.ndarray | Image.Image, form: str = "PNG", **more) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    out = io.BytesIO()
    image.save(out, form, **more)
    return out.getvalue()


def refusal(data: bytes, rule: MaskRule = INDEX, limit: int = LIMIT) -> str:
    with pytest.raises(UnusableImageError) as refused:
        read_mask(data, rule, limit)
    return str(refused.value)


@pytest.mark.parametrize("form", ["PNG", "TIFF", "BMP", "GIF"])
def test_mask__of_values_is_what_the_rule_says(form) -> None:
    found = read_mask(file_of(VALUES, form), INDEX, LIMIT)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, VALUES)


def test_mask__takes_values_of_sixteen_bits_and_grey_stored_as_colour() -> None:
    wide = VALUES.astype(np.uint16)
    np.testing.assert_array_equal(read_mask(file_of(wide), INDEX, LIMIT), VALUES)
    grey = np.repeat(VALUES[:, :, None], 3, axis=2)
    np.testing.assert_array_equal(read_mask(file_of(grey), INDEX, LIMIT), VALUES)
    np.testing.assert_array_equal(
        read_mask(file_of(np.dstack([grey, np.full_like(VALUES, 255)])), INDEX, LIMIT), VALUES
    )


def test_mask__of_a_palette_goes_by_its_indices_or_by_colours_that_are_all_named() -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8)).convert("P")
    image.putpalette([9, 9, 9, 8, 8, 8, 7, 7, 7])
    expected = [[0, 1], [2, 0]]
    np.testing.assert_array_equal(read_mask(file_of(image), INDEX, LIMIT), expected)
    np.testing.assert_array_equal(read_mask(file_of(image), COLOURS, LIMIT), expected)
    image.putpalette([0, 0, 142, 128, 64, 128, 70, 130, 180])  # in another order than the names
    np.testing.assert_array_equal(read_mask(file_of(image), COLOURS, LIMIT), [[2, 1], [0, 2]])


def test_mask__of_colours_is_what_the_rule_says() -> None:
    colours = np.array([[[70, 130, 180], [0, 0, 0]], [[0, 0, 142], [128, 64, 128]]], np.uint8)
    expected = [[0, IGNORED], [2, 1]]
    np.testing.assert_array_equal(read_mask(file_of(colours), COLOURS, LIMIT), expected)
    black = np.zeros((2, 2, 3), np.uint8)  # grey by chance, and a colour all the same
    assert (read_mask(file_of(black), COLOURS, LIMIT) == IGNORED).all()


def test_mask__with_a_palette_of_greys_goes_by_what_is_named() -> None:
    image = Image.fromarray(np.array([[0, 1], [2, 0]], np.uint8)).convert("P")
    image.putpalette([0, 0, 0, 127, 127, 127, 250, 250, 250])  # for the eye; 127 names nothing
    np.testing.assert_array_equal(read_mask(file_of(image), INDEX, LIMIT), [[0, 1], [2, 0]])
    image.putpalette([0, 0, 0, 2, 2, 2, 1, 1, 1])  # either could be meant
    assert "two ways" in refusal(file_of(image))


@pytest.mark.parametrize("high", [1, 255])
def test_mask__of_two_values_is_binary(high) -> None:
    rule = MaskRule("classes", ("back", "front"), {0: 0, 1: 1, 255: 1})
    pixels = np.array([[0, high], [high, 0]], np.uint8)
    np.testing.assert_array_equal(read_mask(file_of(pixels), rule, LIMIT), [[0, 1], [1, 0]])
    np.testing.assert_array_equal(read_mask(file_of(pixels, "GIF"), rule, LIMIT), [[0, 1], [1, 0]])
    one_bit = Image.fromarray(pixels > 0)
    np.testing.assert_array_equal(read_mask(file_of(one_bit), rule, LIMIT), [[0, 1], [1, 0]])


def test_mask__with_values_that_nothing_names_is_refused_by_those_values() -> None:
    words = refusal(file_of(np.array([[0, 7], [9, 1]], np.uint8)))
    assert "values that name no class (7, 9)" in words and "allowed: 0, 1, 2, 255" in words
    words = refusal(file_of(np.full((2, 2, 3), (1, 2, 3), np.uint8)), COLOURS)
    assert "colours that name no class (1/2/3)" in words


def test_mask__saved_as_jpeg_is_refused_where_its_values_have_moved() -> None:
    blocks = np.kron(np.random.default_rng(0).integers(0, 2, (8, 8)), np.ones((3, 3)))
    words = refusal(file_of((blocks * 2).astype(np.uint8), "JPEG", quality=30))
    assert "export it again as PNG" in words


def test_mask__with_alpha_too_many_pixels_or_no_image_is_refused() -> None:
    clear = np.dstack([VALUES] * 3 + [np.full_like(VALUES, 9)])
    assert "alpha" in refusal(file_of(clear))
    assert "too many pixels" in refusal(file_of(VALUES), limit=5)
    assert "cannot be decoded" in refusal(b"no image")
    assert "empty" in refusal(b"")
    assert "mode CMYK" in refusal(file_of(Image.new("CMYK", (2, 2)), "TIFF"))


def pages(*planes: list[list[int]], form: str = "TIFF") -> bytes:
    images = [Image.fromarray(np.array(plane, np.uint8)) for plane in planes]
    out = io.BytesIO()
    images[0].save(out, form, save_all=True, append_images=images[1:])
    return out.getvalue()


def paged(choice: str, names: tuple[str, ...] = NAMES) -> MaskRule:
    return MaskRule("classes", names, dict(enumerate(range(len(names)))), pages=choice)


def test_mask__of_several_pages_is_refused_or_its_first_is_taken() -> None:
    data = pages([[0, 1]], [[2, 2]])
    assert "2 pages" in refusal(data) and "mask_pages" in refusal(data)
    np.testing.assert_array_equal(read_mask(data, paged("first"), LIMIT), [[0, 1]])


def test_mask__of_a_page_per_class_marks_each_pixel_once() -> None:
    data = pages([[255, 0, 0, 0]], [[0, 1, 0, 0]])
    two = read_mask(data, paged("classes", ("a", "b")), LIMIT)
    np.testing.assert_array_equal(two, [[0, 1, IGNORED, IGNORED]])
    rest = read_mask(data, paged("classes", ("rest", "a", "b")), LIMIT)
    np.testing.assert_array_equal(rest, [[1, 2, 0, 0]])
    assert "overlap" in refusal(pages([[1]], [[1]]), paged("classes", ("a", "b")))
    assert "2 pages for 4 classes" in refusal(data, paged("classes", tuple("abcd")))


def test_mask__counts_the_pixels_of_all_its_pages() -> None:
    assert "too many pixels" in refusal(pages(*[[[0] * 10]] * 8), paged("classes"), limit=79)


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.integers(0, 2), min_size=12, max_size=12),
    values=st.permutations([3, 17, 200]),
    form=st.sampled_from(["PNG", "TIFF", "BMP"]),
)
def test_mask__gives_back_what_was_drawn(numbers, values, form) -> None:
    drawn = np.array(numbers, np.uint8).reshape(3, 4)
    rule = MaskRule("classes", NAMES, {value: n for n, value in enumerate(values)})
    data = file_of(np.array(values, np.uint8)[drawn], form)
    found = read_mask(data, rule, LIMIT)
    np.testing.assert_array_equal(found, drawn)
    assert names_present(found, NAMES) == [NAMES[n] for n in sorted(set(numbers))]
    np.testing.assert_array_equal(decode_mask(encode_mask(found)), drawn)


@settings(max_examples=100, deadline=None)
@given(data=st.binary(max_size=64), mark=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"II*\x00"]))
def test_mask__refuses_damaged_files_and_raises_nothing_else(data, mark) -> None:
    refusal(mark + data)


def test_mask_rule__differs_in_its_digest_when_it_differs() -> None:
    others = [
        INDEX,
        COLOURS,
        MaskRule("classes", NAMES, {0: 0, 1: 2, 2: 1, 255: IGNORED}),
        MaskRule("classes", NAMES[::-1], INDEX.values),
        MaskRule("classes", NAMES, INDEX.values, divisor=1000),
        MaskRule("classes", NAMES, INDEX.values, pages="first"),
        MaskRule("instances", NAMES, INDEX.values),
    ]
    assert len({rule.digest for rule in others}) == len(others)
    assert INDEX.digest == MaskRule("classes", NAMES, dict(reversed(INDEX.values.items()))).digest


def test_number_names__numbers_what_is_judged_in_order() -> None:
    names, numbers = number_names(["sky", "Void", "road"], ("void",))
    assert names == ("sky", "road") and numbers == {"sky": 0, "Void": IGNORED, "road": 1}
    with pytest.raises(UnusableImageError, match="255"):
        number_names([str(n) for n in range(256)], ())


# --- instances -----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(0, 4), min_size=30, max_size=30), wide=st.booleans())
def test_instances__give_the_box_around_each_value(values, wide) -> None:
    drawn = np.array(values, np.uint16 if wide else np.uint8).reshape(5, 6) * (900 if wide else 1)
    found, width, height = read_instances(file_of(drawn), MaskRule("instances", ("a",)), LIMIT)
    assert (width, height) == (6, 5)
    expected = []
    for value in sorted(set(drawn.ravel().tolist()) - {0}):
        ys, xs = np.nonzero(drawn == value)
        expected.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    assert sorted(found.tolist()) == sorted(expected)


def test_instances__may_be_colours_and_become_one_class() -> None:
    colours = np.zeros((4, 5, 3), np.uint8)
    colours[0, :2], colours[2:, 3:] = (200, 0, 0), (0, 9, 9)
    rule = MaskRule("instances", ("background", "a"))
    found, _, _ = read_instances(file_of(colours), rule, LIMIT)
    assert sorted(found.tolist()) == [[0, 0, 2, 1], [3, 2, 5, 4]]
    np.testing.assert_array_equal(
        read_mask(file_of(colours), rule, LIMIT), colours.any(2).astype(np.uint8)
    )
