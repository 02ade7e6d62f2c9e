"""What steps find, read together: to read from a device is to wait for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch

from graft.vision.training.gradients import Added
from graft.vision.training.refused import Met


@dataclass(frozen=True)
class Finding:
    """A scalar that must be finite: a batch's ``loss``, its gradients' ``norm``, or the largest of
    the ``weights`` after its step; with the batch, and the gradients that it added."""

    kind: Literal["loss", "norm", "weights"]
    value: torch.Tensor
    met: Met
    added: Added


class Findings:
    """Those of a training in turn: noted, then sent, then read.

    Between sending and reading a GPU has time to get there, and the CPU to prepare more work.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._noted: list[Finding] = []
        self._sent: list[Finding] = []
        self._values = torch.empty(0)
        self._there: torch.cuda.Event | None = None

    def note(self, finding: Finding) -> None:
        """Remember it; nothing is read."""
        self._noted.append(finding)

    def is_odd(self) -> torch.Tensor:
        """Scalar float on the device: 1 where anything noted is not finite, else 0."""
        return (~self._stacked().isfinite().all()).float()

    def send(self) -> None:
        """Let what was noted come to the CPU; what was sent before must have been read."""
        assert not self._sent
        if not self._noted:
            return
        self._sent, values, self._noted = self._noted, self._stacked(), []
        self._values = values
        if values.is_cuda:
            self._values = torch.empty(len(values), pin_memory=True)
            self._values.copy_(values, non_blocking=True)
            self._there = torch.cuda.Event(blocking=True)  # to sleep leaves the core to others
            self._there.record()

    def read(self) -> Sequence[tuple[Finding, float]]:
        """What was sent, in the order in which it was noted; each once."""
        if self._there is not None:
            self._there.synchronize()
        found = list(zip(self._sent, self._values.tolist(), strict=True))
        self._sent, self._values, self._there = [], torch.empty(0), None
        return found

    def _stacked(self) -> torch.Tensor:
        return torch.stack([f.value.detach().float().to(self._device) for f in self._noted])
