"""Values of masks by bands of rows: the same as of the whole, and each unnamed one is told."""

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graft.vision.data import conversion, mask_values
from graft.vision.data.mask_values import (
    all_named,
    boxes_around,
    numbered_colours,
    numbered_values,
    values_in,
)
from graft.vision.errors import UnusableImageError
from graft.vision.records import Array

FEW = st.sampled_from([0, 1, 2, 7, 255, 300, 26_001, 70_000, -3])


@pytest.fixture(autouse=True, scope="module", params=[3, 1 << 18], ids=["thin bands", "one band"])
def band(request: pytest.FixtureRequest) -> Iterator[None]:
    """Bands of single rows, and one of all."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversion, "BAND_PIXELS", request.param)
        yield


def drawn(values: list[int]) -> Array:
    return np.array(values, np.int32).reshape(-1, 3)


ARRAYS = st.lists(FEW, min_size=3, max_size=24).filter(lambda v: len(v) % 3 == 0).map(drawn)


@settings(max_examples=60, deadline=None)
@given(values=ARRAYS, names=st.sets(FEW, min_size=1), divisor=st.sampled_from([0, 1000]))
def test_numbered_values__are_those_of_the_whole_or_tell_what_has_none(
    values: Array, names: set[int], divisor: int
) -> None:
    numbers = {value: place for place, value in enumerate(sorted(names))}
    meant = np.where(values >= divisor, values // divisor, values) if divisor else values
    unnamed = sorted(set(meant.ravel().tolist()) - names)
    if unnamed:
        with pytest.raises(UnusableImageError) as refusal:
            numbered_values(values, numbers, divisor)
        assert f"({', '.join(map(str, unnamed[:8]))}" in str(refusal.value)
        return
    found = numbered_values(values, numbers, divisor)
    assert found.dtype == np.uint8
    assert found.tolist() == [[numbers[value] for value in row] for row in meant.tolist()]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([(0, 0, 0), (1, 2, 3), (255, 0, 9)]), min_size=6, max_size=6))
def test_numbered_colours__are_those_named(colours: list[tuple[int, int, int]]) -> None:
    pixels = np.array(colours, np.uint8).reshape(2, 3, 3)
    numbers = {(0, 0, 0): 4, (1, 2, 3): 255}
    assert all_named(pixels, numbers) == ((255, 0, 9) not in colours)
    if not all_named(pixels, numbers):
        with pytest.raises(UnusableImageError, match="255/0/9"):
            numbered_colours(pixels, numbers)
        return
    found = numbered_colours(pixels, numbers)
    assert found.ravel().tolist() == [numbers[colour] for colour in colours]
    assert values_in(pixels).tolist() == sorted({(r << 16) + (g << 8) + b for r, g, b in colours})


def test_numbered_colours__of_greys_are_those_of_the_colours_they_show() -> None:
    greys = np.array([[0, 9], [9, 0]], np.uint8)
    numbers = {(0, 0, 0): 1, (9, 9, 9): 2}
    np.testing.assert_array_equal(numbered_colours(greys, numbers), [[1, 2], [2, 1]])


@settings(max_examples=60, deadline=None)
@given(values=ARRAYS)
def test_boxes_around__reach_over_bands(values: Array) -> None:
    expected = []
    for value in sorted(set(values.ravel().tolist()) - {0}):
        ys, xs = np.nonzero(values == value)
        expected.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
    assert boxes_around(values).tolist() == expected


def test_boxes_around__refuse_what_is_no_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mask_values, "OBJECTS_MAX", 8)
    assert len(boxes_around(np.arange(8).reshape(2, 4))) == 7
    with pytest.raises(UnusableImageError, match="more than 8 values"):
        boxes_around(np.arange(9).reshape(3, 3))
