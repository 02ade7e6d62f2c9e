"""The bench of GPUs: what it calls busy, and what it says where there is none."""

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("intervals", "wanted"),
    [
        ([(0, 10)], 1.0),
        ([(5, 6), (0, 4), (8, 10)], 0.7),
        ([(0, 10), (2, 3), (4, 12), (12, 20)], 1.0),
        ([(0, 2), (1, 3), (9, 10)], 0.4),
    ],
)
def test_busy_share__counts_once_what_overlaps(
    intervals: list[tuple[float, float]], wanted: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from bench.gpu import busy_share

    assert busy_share(intervals) == pytest.approx(wanted)
    assert str(busy_share([])) == "nan"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU here")
def test_bench__says_that_it_is_skipped_without_a_gpu(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(ROOT)
    from bench.gpu import main

    assert main([]) == 0
    assert capsys.readouterr().out == "skipped: there is no CUDA device here\n{}\n"
