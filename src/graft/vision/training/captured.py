"""Forward and backward pass as CUDA graphs: two launches in place of a thousand kernels'.

What small models lose to launching, larger ones need not care about. Graphs hold where every step
does the same: one shape of views, no statistics that move, one tensor that comes out. What is drawn
by chance follows torch's generator as it does in the plain passes. Before graphs are used, their
gradients are compared with the plain ones.
"""

import inspect
import logging
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from graft.vision.model import Learner
from graft.vision.training.chance import Chance
from graft.vision.training.compared import Run, apart, gradients_by
from graft.vision.training.norms import learning_norms
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.precision import Precision

log = logging.getLogger("graft")

TOLERANCE, SLACK = 1e-2, 1.5
"""Gradients by graphs may lie this share of their norm, and so many times what plain ones do, from
plain ones met again, whose kernels may add in any order; compiled ones, which round elsewhere, from
fp32: in bf16 rounding alone moves an EfficientNet's gradients by a tenth. What is wrong lies near
1."""
COMPILING_PAYS = 20_000
"""Steps for which ``compile: auto`` compiles: that takes a minute or two, and to get them back a
step must gain some milliseconds so often."""


@dataclass(frozen=True)
class Captured:
    """The forward pass for views of one shape and type; its gradients come by a graph as well.

    Gradients lie where the next step's will: they are to be used up before.
    """

    run: Run
    shape: torch.Size
    kind: torch.dtype

    def fits(self, views: torch.Tensor) -> bool:
        """Whether it can be run with these views."""
        return views.shape == self.shape and views.dtype == self.kind


def compiling_pays(options: FineTuningOptions, steps: int) -> bool:
    """Whether a training of so many steps should be compiled."""
    return options.compile == "always" or (options.compile == "auto" and steps >= COMPILING_PAYS)


def capture(
    name: str, model: Learner, precision: Precision, views: torch.Tensor, *, compiles: bool
) -> Captured | None:
    """The passes for such (N, ...) views on a GPU; None, told in a line, where graphs do not hold.

    Nothing of the model moves, nor what is drawn by chance after it.
    """
    if reason := why_plain(model, precision, views):
        log.info("    %s: launched kernel by kernel, for %s", name, reason)
        return None
    for compiled in (True, False) if compiles else (False,):
        what = "compiled, and as CUDA graphs" if compiled else "as CUDA graphs"
        try:
            run = _graphs(model, precision, views, compiled=compiled)
            off = _excess(model, precision, run, unlike(views), compiled=compiled)
            if off <= TOLERANCE:
                log.info("    %s: run %s", name, what)
                return Captured(run, views.shape, views.dtype)
            reason = f"gradients lie {off:.2g} of their norm too far off"
        except Exception as error:  # whatever it is, the plain passes do without
            reason = f"{type(error).__name__}: {error}".partition("\n")[0][:160]
        log.warning("    %s: not run %s, for %s", name, what, reason)
    return None


def views_like(example: torch.Tensor, count: int, size_px: int | None = None) -> torch.Tensor:
    """As many views as a batch holds, of the side it has in an epoch, all made of (1, ...) one."""
    part = example if size_px is None else example[:, :, :size_px, :size_px]
    found = torch.cat([part.roll(shift, -1) for shift in range(count)])
    return found.contiguous(memory_format=torch.channels_last) if found.dim() == 4 else found


def unlike(views: torch.Tensor) -> torch.Tensor:
    """Others of the same shape, by which a graph is known that does not look at what it is given:
    negatives, or features in reverse."""
    return 255 - views if views.dtype == torch.uint8 else views.flip(1)


def why_plain(model: Learner, precision: Precision, views: torch.Tensor) -> str | None:
    """Why graphs cannot hold for this model as it trains now; None where they may."""
    if moving := learning_norms(model):
        return f"BatchNorm learns from each batch ({moving[0][0]})"
    with torch.no_grad(), precision.around(model), Chance(views.device):
        if not isinstance(model(views), torch.Tensor):
            return "the model gives more than one tensor"
    return None


class _Pass(nn.Module):
    """The forward pass as the training runs it, with all that is around it; or in fp32."""

    def __init__(
        self, model: Learner, precision: Precision, *, compiled: bool = False, exact: bool = False
    ) -> None:
        super().__init__()
        self.model, self._precision, self._exact = model, precision, exact

        def run(views: torch.Tensor) -> torch.Tensor:
            found: torch.Tensor = model(views)
            return found

        # By torch's own generator, as in the plain passes.
        options: dict[str, Any] = {"fallback_random": True}
        self._run = torch.compile(run, dynamic=False, options=options) if compiled else run

    def forward(self, views: torch.Tensor) -> torch.Tensor:
        # A cast that was kept from before would be missing from the graph.
        uncached = torch.autocast(
            views.device.type,
            dtype=torch.bfloat16,
            enabled=self._precision.is_bf16 and not self._exact,
            cache_enabled=False,
        )
        with self._precision.around(self.model), uncached:
            found: torch.Tensor = self._run(views)
        return found


def _graphs(model: Learner, precision: Precision, views: torch.Tensor, *, compiled: bool) -> Run:
    make: Any = torch.cuda.make_graphed_callables
    # Another thread may pin memory meanwhile. Before torch 2.14 there is no saying that it may.
    modes = {"capture_error_mode": "thread_local"}
    said = {k: v for k, v in modes.items() if k in inspect.signature(make).parameters}
    whole = _Pass(model, precision, compiled=compiled)
    with Chance(views.device):
        run: Run = make(whole, (views.clone(),), allow_unused_input=True, **said)
    return run


def _excess(
    model: Learner, precision: Precision, run: Run, views: torch.Tensor, *, compiled: bool
) -> float:
    """How much further gradients by ``run`` lie from wanted ones than plain gradients do, of the
    stage where that is most; wanted are plain ones met again, or for what is compiled fp32."""
    plain = gradients_by(_Pass(model, precision), model, views)
    wanted = gradients_by(_Pass(model, precision, exact=compiled), model, views)
    floor = apart(model, plain, wanted)
    off = apart(model, gradients_by(run, model, views), wanted)
    return _largest({stage: off[stage] - SLACK * floor[stage] for stage in off})


def _largest(by_stage: dict[str, float]) -> float:
    return float(torch.tensor(list(by_stage.values())).max())  # NaN where one is
