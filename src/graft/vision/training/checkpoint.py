"""Whole, resumable checkpoints: one safetensors file, written all or nothing, never a pickle."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from graft.vision.errors import CheckpointError

PARTS = ("model", "average", "best", "optimizer")
FACTS = (
    "digest",
    "epoch",
    "epochs",
    "history",
    "best_epoch",
    "best_score",
    "done",
    "seconds",
    "steps",
    "tensors",
)


@dataclass
class Checkpoint:
    """Everything that a training needs to go on as if it had never stopped.

    ``tensors``: by part (PARTS) and name; ``facts``: FACTS, plain values. Nothing of random
    generators: what is drawn depends on seed, epoch and sample alone.
    """

    tensors: dict[str, dict[str, torch.Tensor]]
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write; a checkpoint already there stays until this one is whole."""
        flat = {
            f"{part}/{name}": tensor.detach().cpu().contiguous()
            for part, tensors in self.tensors.items()
            for name, tensor in tensors.items()
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        # The names, so that a file which lacks one tensor is known for it.
        facts = {**self.facts, "tensors": sorted(flat)}
        save_file(flat, part, metadata={"facts": json.dumps(facts)})
        part.replace(path)


def load_checkpoint(path: Path, digest: str) -> Checkpoint | None:
    """Read a checkpoint of this very training; None where there is none.

    Raises:
        CheckpointError: when it is damaged, lacks something, or belongs to another training.
    """
    if not path.exists():
        return None
    mend = f"delete {path} to start this training again"
    try:
        with safe_open(path, framework="pt") as handle:
            facts = json.loads((handle.metadata() or {}).get("facts", "{}"))
            tensors: dict[str, dict[str, torch.Tensor]] = {part: {} for part in PARTS}
            for key in handle.keys():  # noqa: SIM118 (no mapping)
                part, _, name = key.partition("/")
                tensors.setdefault(part, {})[name] = handle.get_tensor(key)
    except (SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is damaged", found=str(error)[:120], mend=mend) from error
    missing = [name for name in FACTS if name not in facts]
    needed = ("best",) if facts.get("done") else ("model", "best", "optimizer")
    missing += [part for part in needed if not tensors[part]]
    there = {f"{part}/{name}" for part, named in tensors.items() for name in named}
    missing += [name for name in facts.get("tensors", []) if name not in there][:3]
    if missing:
        raise CheckpointError(f"{path} is incomplete", found=f"no {', '.join(missing)}", mend=mend)
    if facts["digest"] != digest:
        raise CheckpointError(
            f"{path} belongs to another training", found=facts["digest"], allowed=digest, mend=mend
        )
    return Checkpoint(tensors, facts)


def optimizer_tensors(
    optimizer: torch.optim.Optimizer, names: dict[torch.Tensor, str]
) -> dict[str, torch.Tensor]:
    """The optimiser's state by parameter name."""
    return {
        f"{names[parameter]}/{key}": torch.as_tensor(value)
        for parameter, state in optimizer.state.items()
        for key, value in state.items()
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer,
    names: dict[torch.Tensor, str],
    tensors: dict[str, torch.Tensor],
) -> None:
    """Give the optimiser back the state it had."""
    by_name = {name: parameter for parameter, name in names.items()}
    for key, value in tensors.items():
        name, _, entry = key.rpartition("/")
        parameter = by_name[name]
        # A fused optimiser goes through memory as it lies, so moments lie as their parameter does.
        own = torch.empty_like(parameter) if value.dim() else torch.empty_like(value)
        optimizer.state[parameter][entry] = own.detach().copy_(value)
