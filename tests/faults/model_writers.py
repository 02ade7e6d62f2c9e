"""Those of `writers.py` that need PyTorch, whose process is large and slow to fork."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from writers import Writer

from graft.adapters import atomic
from graft.adapters.datasets import TrainedModelDataset
from graft.adapters.datasets import trained_model as trained_model_dataset
from graft.vision.data.sources import torchvision as public_sets
from graft.vision.errors import DataError
from graft.vision.model import TrainedModel
from graft.vision.training.batches import Batch
from graft.vision.training.checkpoint import FACTS, Checkpoint, last_checkpoint
from graft.vision.training.refused import Met, RefusedBatch, load_refused


def put_model(folder: Path, number: int) -> None:
    layer = torch.nn.Linear(40, 40)
    torch.nn.init.constant_(layer.weight, number)
    card = SimpleNamespace(model_dump=lambda mode: {"number": number})
    model = TrainedModel(card, layer, None)  # type: ignore[arg-type]
    TrainedModelDataset(str(folder / "layer/probe")).save(model)


def read_model(folder: Path) -> int:
    dataset = TrainedModelDataset(str(folder / "layer/probe"))
    if not dataset.exists():
        assert not dataset.folder.exists(), "a folder without its list of digests"
        return 0
    trained_model_dataset._compare_digests(dataset.folder)
    return int(json.loads((dataset.folder / "card.json").read_text())["number"])


def put_model_in_two_steps(folder: Path, number: int) -> None:
    """Where two folders cannot change names in one step."""
    exchange, atomic._exchange = atomic._exchange, lambda one, other: False
    try:
        put_model(folder, number)
    finally:
        atomic._exchange = exchange


def put_checkpoint(folder: Path, number: int, done: bool = False) -> None:
    facts: dict[str, Any] = dict.fromkeys(FACTS, 0)
    facts |= {"digest": "training", "epoch": number, "done": done and number == 2}
    tensors = {name: {"w": torch.full((40, 40), number)} for name in ("model", "best", "optimizer")}
    Checkpoint(tensors, facts).save(folder / "checkpoints/t.safetensors")


def read_checkpoint(folder: Path) -> int:
    found = last_checkpoint(folder / "checkpoints/t.safetensors", "training")
    assert found is None or (found.tensors["best"]["w"] == found.facts["epoch"]).all()
    return 0 if found is None else int(found.facts["epoch"])


def put_batch(folder: Path, number: int) -> None:
    views, state = torch.full((2, 3, 32, 32), number), {"w": torch.full((40, 40), number)}
    batch = Batch(views, [{"targets": np.zeros(3)}] * 2, ["a.png", "b.png"])
    met = Met(batch, None, epoch=0, number=number, chance=torch.zeros(8))
    RefusedBatch(met, state, {}).save(folder / "checkpoints/refused.safetensors")


def read_batch(folder: Path) -> int:
    path = folder / "checkpoints/refused.safetensors"
    if not path.exists():
        return 0
    met = load_refused(path).met
    assert (met.batch.views == met.number).all()
    return met.number


class Picture:
    """What torchvision gives of an image."""

    def __init__(self, number: int) -> None:
        self.number = number

    def save(self, path: Path) -> None:
        path.write_bytes(bytes([self.number]) * 3000)


def export_set(folder: Path, number: int) -> None:
    def opened(kind: Any, place: Path, split: str, download: bool) -> Any:
        return [(Picture(number), 0)] * 2 if split == "train" else []

    public_sets._open = opened  # type: ignore[assignment]
    public_sets.export_torchvision("CIFAR10", folder / "set", download=False)


def read_set(folder: Path) -> int:
    options: Any = SimpleNamespace(folder="set", dataset="CIFAR10")
    public_sets.read_folders = lambda root, options: sorted(  # type: ignore[assignment]
        {file.read_bytes() for file in (root / "set/train/0").iterdir()}
    )
    try:
        (data,) = public_sets.read_torchvision(folder, options)
    except DataError:  # not exported, or not to its end: it says to export it
        return 0
    assert len(data) == 3000
    return int(data[0])


WRITERS: dict[str, Writer] = {
    "trained model": Writer(put_model, read_model),
    "trained model in two steps": Writer(put_model_in_two_steps, read_model, (1,)),
    "checkpoint": Writer(put_checkpoint, read_checkpoint, same_names=False),
    "last checkpoint": Writer(
        lambda folder, number: put_checkpoint(folder, number, done=True),
        read_checkpoint,
        same_names=False,
    ),
    "refused batch": Writer(put_batch, read_batch),
    "public set": Writer(export_set, read_set, refused=True),
}
