"""Where memory runs out, less is computed at once; what comes out stays what it was."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import torch

from graft.vision.errors import ResourceError

log = logging.getLogger("graft")


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
