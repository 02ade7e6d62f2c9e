"""Memory that is needed again is not given back between, and is at the end."""

import platform
import resource
from pathlib import Path

import pytest
import torch

from graft.vision.memory import memory_kept

MIB = 1 << 20
BLOCK = 64 * MIB


def pages_met() -> int:
    """Pages that are new to the process while a block is filled and freed."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(BLOCK, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def held() -> int:
    """Bytes of this process that lie in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory__is_met_anew_but_within() -> None:
    pages, before = BLOCK // resource.getpagesize(), held()
    with memory_kept():
        # The first few lie beside each other, for what aligns them is in the way.
        assert min(pages_met() for _ in range(12)) < pages // 100
        assert held() - before > BLOCK // 2
    assert held() - before < BLOCK // 2
    assert pages_met() > pages // 1000
