"""Whole, resumable checkpoints: one safetensors file, written all or nothing, never a pickle."""

import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from graft.vision.backbones.weight_files import digest_state
from graft.vision.errors import CheckpointError
from graft.vision.records import digest_text

log = logging.getLogger("graft")

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
    "images_at_once",
    "machines",
    "tensors",
)
CHECKSUM = "sha256"
GOES_BACK = "The training goes back to the checkpoint before, or to its start."


class AlteredCheckpointError(CheckpointError):
    """The bytes of a checkpoint are not those that were written."""


@dataclass
class Checkpoint:
    """Everything that a training needs to go on as if it had never stopped.

    ``tensors``: by part (PARTS) and name; ``facts``: FACTS, plain values. Nothing of random
    generators: what is drawn depends on seed, epoch and sample alone.
    """

    tensors: dict[str, dict[str, torch.Tensor]]
    facts: dict[str, Any] = field(default_factory=dict)

    def save(self, path: Path) -> None:
        """Write; a checkpoint already there stays until this one is whole.

        The one before stays beside it until the training is done, for disks change bytes too.
        """
        flat = {
            f"{part}/{name}": tensor.detach().cpu().contiguous()
            for part, tensors in self.tensors.items()
            for name, tensor in tensors.items()
        }
        # The names, so that a file which lacks one tensor is known for it.
        facts = json.dumps({**self.facts, "tensors": sorted(flat)})
        with folder_beside(path) as folder:
            part = folder / path.name
            save_file(flat, part, metadata={"facts": facts, CHECKSUM: _checksum(facts, flat)})
            if self.facts.get("done"):
                _previous(path).unlink(missing_ok=True)
            elif path.exists():
                path.replace(_previous(path))
            part.replace(path)


def last_checkpoint(path: Path, digest: str) -> Checkpoint | None:
    """What a training goes on from: its checkpoint, or the one before where its bytes were altered.

    None where there is none, and the training starts from its start. Raises as `load_checkpoint`,
    but for altered bytes, of which it warns.
    """
    for each in (path, _previous(path)):
        try:
            if (found := load_checkpoint(each, digest)) is not None:
                return found
        except AlteredCheckpointError as error:
            log.warning("    %s %s", error, GOES_BACK)
    return None


def load_checkpoint(path: Path, digest: str) -> Checkpoint | None:
    """Read a checkpoint of this very training; None where there is none.

    Raises:
        AlteredCheckpointError: when its bytes are not those written, with both digests.
        CheckpointError: when it is damaged, lacks something, or belongs to another training.
    """
    if not path.exists():
        return None
    mend = f"delete {path} to start this training again"
    try:
        metadata, flat = _read(path)
        facts = json.loads(metadata.get("facts", "{}"))
    except (SafetensorError, ValueError, OSError) as error:
        raise CheckpointError(f"{path} is damaged", found=str(error)[:120], mend=mend) from error
    missing = _missing(facts, flat) + [CHECKSUM] * (CHECKSUM not in metadata)
    if missing:
        raise CheckpointError(f"{path} is incomplete", found=f"no {', '.join(missing)}", mend=mend)
    if facts["digest"] != digest:
        raise CheckpointError(
            f"{path} belongs to another training", found=facts["digest"], allowed=digest, mend=mend
        )
    tensors: dict[str, dict[str, torch.Tensor]] = {part: {} for part in PARTS}
    for key, tensor in flat.items():
        part, _, name = key.partition("/")
        tensors.setdefault(part, {})[name] = tensor
    return Checkpoint(tensors, facts)


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    """Metadata and tensors, as they were written where a checksum says how that was."""
    with safe_open(path, framework="pt") as handle:
        metadata = dict(handle.metadata() or {})
        flat = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118 (no mapping)
    found = _checksum(metadata.get("facts", ""), flat)
    if found != metadata.get(CHECKSUM, found):
        raise AlteredCheckpointError(
            f"{path} is not as it was written; nothing of it is used",
            found=f"SHA-256 {found}",
            allowed=f"SHA-256 {metadata[CHECKSUM]}",
        )
    return metadata, flat


def _missing(facts: Mapping[str, Any], flat: Mapping[str, torch.Tensor]) -> list[str]:
    """Names of facts, parts and tensors that are not there."""
    needed = ("best",) if facts.get("done") else ("model", "best", "optimizer")
    parts = {key.partition("/")[0] for key in flat}
    tensors = [name for name in facts.get("tensors", []) if name not in flat][:3]
    facts_and_parts = [name for name in FACTS if name not in facts]
    return [*facts_and_parts, *(part for part in needed if part not in parts), *tensors]


def _checksum(facts: str, flat: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, shapes and bytes of the tensors, and the facts."""
    return digest_text(digest_state(dict(flat)) + facts)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """An empty folder for what is not whole yet: safetensors writes under names of its own, which
    a killed run leaves and nobody else could tell from files that are wanted.

    Raises `OSError` with the path's name where the disk is full.
    """
    folder = path.with_name(f".{path.name}.part")
    if folder.is_file():  # of an earlier version
        folder.unlink()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    except SafetensorError as error:  # which tells of the disk in words alone
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(path)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def told_of_machines(before: Mapping[str, object], here: Mapping[str, object]) -> str:
    """What it means that another class of machine goes on with a training."""
    odd = [name for name, value in here.items() if before.get(name) != value]
    said = "; ".join(f"{name} {here[name]}, before {before.get(name)}" for name in odd)
    return (
        f"goes on on another class of machine ({said}): it ends close to the run that nothing "
        "stopped, and no longer bit for bit the same"
    )


def _previous(path: Path) -> Path:
    return path.with_name(f"{path.name}.previous")


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
        like = parameter if value.dim() else value
        own = torch.empty_like(like, device=parameter.device)  # where it counts its steps, too
        optimizer.state[parameter][entry] = own.detach().copy_(value)
