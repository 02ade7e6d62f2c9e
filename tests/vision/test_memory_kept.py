"""Memory that is needed again is not given back between, and is at the end."""

import json
import platform
import resource
import subprocess
import sys
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


def measured() -> dict[str, int]:
    """What one process that has freed nothing before meets and holds."""
    before = held()
    with memory_kept():
        # The first few lie beside each other, for what aligns them is in the way.
        within = min(pages_met() for _ in range(12))
        kept = held() - before
    return {"within": within, "kept": kept, "after": held() - before, "anew": pages_met()}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
def test_memory__is_met_anew_but_within() -> None:
    ended = subprocess.run([sys.executable, __file__], capture_output=True, text=True, check=True)
    found, pages = json.loads(ended.stdout), BLOCK // resource.getpagesize()
    assert found["within"] < pages // 100
    assert found["kept"] > BLOCK // 2
    assert found["after"] < BLOCK // 2
    assert found["anew"] > pages // 1000


if __name__ == "__main__":
    print(json.dumps(measured()))
