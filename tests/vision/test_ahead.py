"""What threads make ahead comes in order, whoever makes it, and fails where it is asked for."""

import threading

import pytest

from graft.vision.ahead import CHUNKS_AHEAD, made_ahead

CHUNKS = [[3, 1, 4], [1], [5, 9], [2, 6], [5]]


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_made__is_what_was_asked_for_in_order(workers: int) -> None:
    found = list(made_ahead(lambda number: number * 10, CHUNKS, workers))
    assert found == [[number * 10 for number in chunk] for chunk in CHUNKS]
    assert list(made_ahead(str, [], workers)) == []


@pytest.mark.parametrize(("workers", "most"), [(0, 1), (2, 1 + CHUNKS_AHEAD)])
def test_made__is_so_many_chunks_ahead_and_no_more(workers: int, most: int) -> None:
    taken: list[int] = []
    chunks = (taken.append(i) or [i] for i in range(99))  # type: ignore[func-returns-value]
    made = made_ahead(lambda number: number, chunks, workers)
    for number in range(5):
        assert next(made) == [number]
        assert len(taken) == number + most
    made.close()  # type: ignore[attr-defined]


def test_threads__make_all_that_workers_are_asked_for_and_none_without() -> None:
    def who(number: int) -> int:
        return threading.get_ident()

    here = threading.get_ident()
    assert {i for chunk in made_ahead(who, CHUNKS, 0) for i in chunk} == {here}
    assert here not in {i for chunk in made_ahead(who, CHUNKS, 2) for i in chunk}


@pytest.mark.parametrize("workers", [0, 2])
def test_fault__comes_out_where_its_chunk_is_asked_for(workers: int) -> None:
    made = made_ahead(lambda number: 1 // (number - 9), CHUNKS, workers)
    assert [next(made), next(made)] == [[-1, -1, -1], [-1]]
    with pytest.raises(ZeroDivisionError):
        next(made)
