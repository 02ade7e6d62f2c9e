"""What a sample gets depends on (seed, epoch, sample id) and on nothing else.

albumentations alone repeats its draws across workers and epochs, so it is seeded per sample; and
it gives one seed to all transforms of a composition, so that two of them happen together or not
at all: each gets a seed of its own.
"""

import hashlib
import threading
from collections.abc import Iterator
from typing import Any

import albumentations as A

from graft.vision.augmentation.policies import build_policy
from graft.vision.records import Array, Truth
from graft.vision.task import Task


def sample_seed(seed: int, epoch: int, sample_id: str) -> int:
    """31 bits from a digest: the same on every machine, in every worker, in any order."""
    digest = hashlib.sha256(f"{seed}\0{epoch}\0{sample_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


class Augmenter:
    """Applies a policy; each thread has transforms of its own, since they keep state.

    Goes to other processes as what it was made of.
    """

    def __init__(self, policy: dict[str, Any], task: Task, seed: int) -> None:
        self._policy, self._task, self._seed = policy, task, seed
        self._own = threading.local()

    def __reduce__(self) -> tuple[Any, ...]:
        return Augmenter, (self._policy, self._task, self._seed)

    def __call__(
        self, pixels: Array, truth: Truth, epoch: int, sample_id: str
    ) -> tuple[Array, Truth]:
        """Augment (H, W, C) uint8 pixels and their truth."""
        compose = getattr(self._own, "compose", None)
        if compose is None:
            compose = self._own.compose = build_policy(self._policy, self._task)
        for number, transform in enumerate(_every(compose)):
            own = f"{sample_id}\0{number}"
            transform.set_random_seed(sample_seed(self._seed, epoch, own))
        return self._task.transform(compose, pixels, truth)


def _every(transform: Any) -> Iterator[Any]:
    """The transform and all within it; a composition first, since it seeds all that it holds."""
    yield transform
    if isinstance(transform, A.BaseCompose):
        for inner in transform.transforms:
            yield from _every(inner)
