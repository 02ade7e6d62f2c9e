"""Regularised linear regression through a task's own loss, by truncated Newton steps.

The features are turned into the axes of their variance, which is exact, leaves no more columns
than there are images, and makes a diagonal a good preconditioner of conjugate gradients.
Method: Nocedal and Wright, Numerical Optimization, 2nd edition, algorithm 7.1.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from graft.vision.records import Array, Truth
from graft.vision.task import ClassTable, LossOptions, Task

PLAIN = LossOptions()
INEXACT = 0.25
"""The share of a gradient that a Newton step may leave."""
INNER_STEPS = 60
Head = torch.Tensor
"""(C, R + 1): weight in the axes, bias last."""


@dataclass(frozen=True)
class Axes:
    """Features (N, D), centred and scaled, as ``places`` (N, R) along ``directions`` (D, R).

    The directions are orthonormal; those that hold no variance are left out.
    """

    places: Array
    directions: Array
    centre: Array
    scale: float

    @classmethod
    def of(cls, features: Array) -> Self:
        """Centre, divide by one number for all, and turn.

        Not each by its own spread: how much a feature varies is part of what pre-training learned.
        """
        centred = features.astype(np.float64)
        centre = centred.mean(axis=0)
        centred -= centre
        scale = float(np.sqrt(np.square(centred).mean())) or 1.0
        centred /= scale
        wide = centred.shape[1] > len(centred)
        energy, vectors = np.linalg.eigh(centred @ centred.T if wide else centred.T @ centred)
        kept = energy > energy[-1] * np.finfo(np.float64).eps * max(centred.shape)
        directions = vectors[:, kept]
        if wide:
            directions = (centred.T @ directions) / np.sqrt(energy[kept])
        return cls(centred @ directions, directions, centre, scale)

    def fold_in(self, head: Head) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight (C, D) and bias (C,) that say of plain features what ``head`` says of places."""
        weight = head[:, :-1].double() @ torch.from_numpy(self.directions.T / self.scale)
        return weight, head[:, -1].double() - weight @ torch.from_numpy(self.centre)


class Regression:
    """Minimises mean loss + |W|^2 / (2 C N), C the strength as in scikit-learn; bias unshrunk."""

    def __init__(
        self, task: Task, classes: ClassTable, places: Array, truths: Sequence[Truth]
    ) -> None:
        self._task, self._classes, self._truths = task, classes, truths
        # Turned over, since products read a matrix fastest along its rows.
        columns = np.vstack([places.T, np.ones(len(places))])
        self._columns = torch.from_numpy(columns)
        self._light = self._columns.float()
        self._energy = self._light.square().mean(dim=1)

    def solve(
        self, strength: float, start: Head | None, steps: int, tolerance: float, dtype: torch.dtype
    ) -> Head:
        """Take at most so many steps, until one would lower the objective by less than tolerance.

        Args:
            dtype: of gradients; the steps between them are computed in single precision always.
        """
        columns = self._columns if dtype == torch.float64 else self._light
        shrinkage = torch.full((len(columns),), 1 / (strength * columns.shape[1]), dtype=dtype)
        shrinkage[-1] = 0
        zero = torch.zeros(len(self._classes), len(columns))
        head = (zero if start is None else start).to(dtype)
        outputs = (head @ columns).T
        for _ in range(steps):
            slope = self._slope(outputs)[1]
            gradient = slope.T @ columns.T + shrinkage * head
            step = self._step(outputs.float(), gradient.float(), shrinkage.float()).to(dtype)
            fall = -float((gradient * step).sum())
            if fall < tolerance:
                break
            change = (step @ columns).T
            share = self._share(head, outputs, step, change, shrinkage, fall)
            head, outputs = head + share * step, outputs + share * change
        return head

    def loss(self, head: Head) -> float:
        """Mean loss of a head, unshrunk."""
        return float(self._loss(self.outputs(head)))

    def outputs(self, head: Head) -> torch.Tensor:
        """(N, C) what a head says of each row."""
        return (head @ self._columns.to(head.dtype)).T

    def row_losses(self, head: Head) -> Array:
        """(N,) loss of each row alone, unshrunk."""
        outputs = self.outputs(head)
        losses = [
            self._task.loss(outputs[row : row + 1], [truth], self._classes, PLAIN)
            for row, truth in enumerate(self._truths)
        ]
        return torch.stack(losses).double().numpy()

    def _loss(self, outputs: torch.Tensor) -> torch.Tensor:
        return self._task.loss(outputs, self._truths, self._classes, PLAIN)

    def _slope(
        self, outputs: torch.Tensor, twice: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Outputs that can be derived by, and the loss derived by them."""
        outputs = outputs.detach().requires_grad_()
        slope = torch.autograd.grad(self._loss(outputs), outputs, create_graph=twice)[0]
        return outputs, slope

    def _step(self, outputs: torch.Tensor, gradient: Head, shrinkage: torch.Tensor) -> Head:
        """The Newton step, to within `INEXACT`, by preconditioned conjugate gradients."""
        outputs, slope = self._slope(outputs, twice=True)

        def bend(change: torch.Tensor) -> torch.Tensor:
            return torch.autograd.grad(slope, outputs, change, retain_graph=True)[0]

        def times(direction: Head) -> Head:
            bent = bend((direction @ self._light).T)
            return bent.T @ self._light.T + shrinkage * direction

        diagonal = _mean_curvature(bend, outputs)[:, None] * self._energy + shrinkage
        return _conjugate_gradients(times, -gradient, diagonal)

    def _share(
        self,
        head: Head,
        outputs: torch.Tensor,
        step: Head,
        change: torch.Tensor,
        shrinkage: torch.Tensor,
        fall: float,
    ) -> float:
        """How much of a step to take: halved until it lowers the objective (Armijo's rule)."""

        def objective(share: float) -> float:
            shrunk = (shrinkage / 2 * (head + share * step).square()).sum()
            return float(self._loss(outputs + share * change) + shrunk)

        now, share = objective(0.0), 1.0
        while share > 1e-4 and not objective(share) <= now - 1e-4 * share * fall:
            share /= 2
        return share


def _mean_curvature(
    bend: Callable[[torch.Tensor], torch.Tensor], outputs: torch.Tensor
) -> torch.Tensor:
    """(C,) the loss's second derivative by each class's outputs, summed over the images.

    Estimated by random signs (Hutchinson), and kept from nothing: it only guides the steps.
    """
    generator = torch.Generator().manual_seed(0)
    signs = torch.randint(0, 2, outputs.shape, generator=generator).to(outputs.dtype) * 2 - 1
    curvature = (signs * bend(signs)).sum(dim=0)
    least = 0.1 * float(curvature.mean().clamp(min=1e-6))
    return 0.5 * curvature.clamp(min=least)


def _conjugate_gradients(
    times: Callable[[torch.Tensor], torch.Tensor], target: torch.Tensor, diagonal: torch.Tensor
) -> torch.Tensor:
    """Solve ``times(x) = target`` to within `INEXACT`, in the norm of the preconditioner."""
    solution, left = torch.zeros_like(target), target
    direction = left / diagonal
    first = size = float((left * direction).sum())
    for _ in range(INNER_STEPS):
        turned = times(direction)
        curvature = float((direction * turned).sum())
        if curvature <= 0:  # rounding has eaten what is left
            break
        solution = solution + size / curvature * direction
        left = left - size / curvature * turned
        nearer = left / diagonal
        before, size = size, float((left * nearer).sum())
        if size <= INEXACT**2 * first:
            break
        direction = nearer + size / before * direction
    return solution
