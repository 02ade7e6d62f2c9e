"""Where memory runs out, less is computed at once; what comes out stays what it was. And memory
that is needed again at once is not given back between."""

import ctypes
import logging
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from graft.vision.errors import ResourceError

log = logging.getLogger("graft")

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4
"""Names of glibc's mallopt."""
_USUAL = {_MMAP_MAX: 65_536, _MMAP_THRESHOLD: 32 << 20, _TRIM_THRESHOLD: 64 << 20}
"""As glibc sets itself once a block of 32 MiB or more was freed."""


@contextmanager
def memory_kept() -> Iterator[None]:
    """What is freed within stays with the process for what is asked for next, until the end.

    Left to itself, glibc maps each block above 32 MiB anew and unmaps it when it is freed. The maps
    of a step are such blocks, and to have their pages cleared by the kernel takes longer than most
    of what is computed on them. Does nothing where the C library is another.
    """
    if platform.libc_ver()[0] != "glibc":
        yield
        return
    libc = ctypes.CDLL(None)
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
    try:
        yield
    finally:
        for name, value in _USUAL.items():
            libc.mallopt(name, value)
        libc.malloc_trim(0)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this error says that memory ran out, on an accelerator or on the CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


@dataclass
class AtOnce:
    """How many samples are computed at once: halved where memory runs out, never raised again.

    ``name``: what computes, as messages say it.
    """

    name: str
    size: int

    def halve(self, found: str) -> None:
        """Take half, and tell it.

        Raises:
            ResourceError: where a single sample is too much.
        """
        if self.size <= 1:
            raise ResourceError(
                f"{self.name}: memory does not hold a single image",
                found=found.partition("\n")[0][:120],
                mend="make views smaller (backbone.image_size_px), take a smaller backbone, or "
                "free memory",
            )
        self.size = (self.size + 1) // 2
        log.warning(
            "    %s: out of memory; from here on at most %d images at once", self.name, self.size
        )

    def computed(
        self, compute: Callable[[torch.Tensor], torch.Tensor], views: torch.Tensor
    ) -> torch.Tensor:
        """What ``compute`` gives of (N, ...) views, which does not depend on their company.

        Raises `ResourceError` as `halve` does.
        """
        while True:
            try:
                parts = [compute(part) for part in views.split(max(1, self.size))]
                return parts[0] if len(parts) == 1 else torch.cat(parts)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                found = str(error)
            # After the handler, for its traceback holds what memory is short of.
            self.size = min(self.size, len(views))
            self.halve(found)
