"""What a training costs: the tutorial's loop against this one, in images a CPU second.

The tutorial's: torchvision's transforms in a DataLoader, timm in eager fp32, AdamW. Ours: decoded
pixels from the store, the policy ``natural``, EMA and checkpoints as in every run. Both train
EfficientNet-Lite0 on views of 224 px in batches of 16, by one thread. Photographs of hymenoptera
where they are there, else rendered signs.

    python -m bench.fine_tuning
"""

import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from bench import PHOTOGRAPHS, Measure, Say, row
from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone, load_backbone
from graft.vision.contenders.fine_tuned import run_training
from graft.vision.contenders.frozen_outputs import store_frozen_outputs
from graft.vision.contenders.ground import Ground, lay_ground
from graft.vision.data.manifest import build_manifest
from graft.vision.data.options import IngestionOptions, SourceOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.splits import class_table_of
from graft.vision.data.street_scenes import StreetScenesOptions, render_folder
from graft.vision.preprocessing import Preprocessing
from graft.vision.tasks import choose_task
from graft.vision.training.options import FineTuningOptions

IMAGES, ROUNDS, BATCH = 192, 2, 16
FROZEN = {"four": 5, "five": 6}
"""First blocks that are frozen, and how many stages those are with the stem."""
EPOCHS = 3


def measure(say: Say) -> dict[str, Measure]:
    """All measures by name: ours, usual, ratio, unit, what."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="graft-fine-tuning-") as name:
        ground, raw = lay(Path(name), BackboneOptions(name="efficientnet_lite0"))
        return _compare(Path(name), ground, raw, say)


def _compare(folder: Path, ground: Ground, raw: Path, say: Say) -> dict[str, Measure]:
    rates: dict[str, list[float]] = {}

    def note(what: str, images: int, work: Callable[[], object]) -> None:
        began = time.process_time()
        work()
        rates.setdefault(what, []).append(images / (time.process_time() - began))
        say(f"{what:24s}{rates[what][-1]:8.1f} images a CPU second")

    images = len(ground.rows)
    growing = _options(sizes_px=[128, 160, 224], epochs=3)
    for turn in range(ROUNDS):
        train = partial(_train, ground, folder / str(turn))
        note("tutorial", images, partial(_tutorial, ground, raw, 0))
        note("full", images, partial(train, _options()))
        note("full, growing views", 3 * images, partial(train, growing))
        for blocks, stages in FROZEN.items():
            stored = _options(frozen_stages=stages, stored_views=1, epochs=EPOCHS)
            store = partial(_store, ground, folder / str(turn), stored)
            note(f"tutorial, {blocks} frozen", images, partial(_tutorial, ground, raw, stages))
            note(f"storing after {blocks}", images, store)
            note(f"ours after {blocks}", EPOCHS * images, partial(train, stored))
    best = {what: max(found) for what, found in rates.items()}
    return _rows(best)


def _rows(rates: dict[str, float]) -> dict[str, Measure]:
    pairs = {
        "full": ("full", "tutorial", "training all stages"),
        "growing": ("full, growing views", "tutorial", "all stages at 128, 160, then 224 px"),
    }
    for blocks in FROZEN:
        ours, what = f"ours after {blocks}", f"after the first {blocks} blocks, from stored outputs"
        pairs[f"frozen_{blocks}"] = (ours, f"tutorial, {blocks} frozen", f"{what}; both frozen")
        pairs[f"frozen_{blocks}_against_full"] = (ours, "tutorial", f"{what}; against all stages")
    return {
        name: row(rates[ours], rates[theirs], "images/CPU s", what, more_is_better=True)
        for name, (ours, theirs, what) in pairs.items()
    }


def _options(**changes: Any) -> FineTuningOptions:
    said = {"strategy": "full", "epochs": 1, "batch_size": BATCH, "learning_rate": 1e-4}
    return FineTuningOptions.parse({**said, **changes}, "bench")


def _train(ground: Ground, folder: Path, options: FineTuningOptions) -> None:
    run_training("bench", ground, ground.new_model(), folder, options)


def _store(ground: Ground, folder: Path, options: FineTuningOptions) -> None:
    store_frozen_outputs(ground, ground.new_model(), folder, options)


def lay(folder: Path, backbone: BackboneOptions) -> tuple[Ground, Path]:
    """Images of each class, ingested, all to be learned from; and the folder of their files."""
    if PHOTOGRAPHS.is_dir():
        raw, options = PHOTOGRAPHS, IngestionOptions()
    else:
        raw, options = folder / "raw", IngestionOptions(source=SourceOptions(folder="signs"))
        render_folder(raw, StreetScenesOptions())
    pixels = PixelStore(folder / "pixels", options.decoding)
    rows = build_manifest(raw, pixels, options).manifest
    rows = rows.iloc[:: max(1, len(rows) // IMAGES)].head(IMAGES).reset_index(drop=True)
    rows = rows.assign(split="train", cluster=rows["id"])
    return ground_of(folder, rows, options, backbone), raw


def ground_of(
    folder: Path, rows: pd.DataFrame, options: IngestionOptions, backbone: BackboneOptions
) -> Ground:
    """The ground of images that were ingested into ``folder / "pixels"`` and split."""
    task, classes = {"name": "classification"}, class_table_of(rows, exclusive=True)
    card, pixels = describe_backbone(backbone), folder / "pixels"
    view = Preprocessing.from_record(card["preprocessing"])
    policy = compose_policy(PolicyOptions(preset="natural"), view, choose_task(task)[0])
    return lay_ground(task, classes, rows, pixels, options, backbone, card, policy, seed=0)


class _Files(torch.utils.data.Dataset[tuple[torch.Tensor, int]]):
    """Files and classes, as the tutorial reads them."""

    def __init__(self, ground: Ground, raw: Path) -> None:
        from torchvision import transforms

        self.files = [raw / path for path in ground.rows["path"]]
        self.kinds = [int(t["targets"].argmax()) for t in ground.truths(ground.rows)]
        self.transform = transforms.Compose(
            [
                transforms.RandomResizedCrop(224),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize([0.5] * 3, [0.5] * 3),
            ]
        )

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> tuple[torch.Tensor, int]:
        from PIL import Image

        with Image.open(self.files[place]) as image:
            return self.transform(image.convert("RGB")), self.kinds[place]


def _tutorial(ground: Ground, raw: Path, frozen_stages: int) -> None:
    """One epoch over the training images."""
    backbone = load_backbone(ground.backbone)
    model = torch.nn.Sequential(backbone, torch.nn.Linear(1280, len(ground.classes)))
    for name, parameter in backbone.named_parameters():
        parameter.requires_grad_(backbone.stage_of(name) not in backbone.stages[:frozen_stages])
    learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer, criterion = torch.optim.AdamW(learning, lr=1e-4), torch.nn.CrossEntropyLoss()
    model.train()
    for views, kinds in _loader(ground, raw):
        optimizer.zero_grad()
        criterion(model(views), kinds).backward()
        optimizer.step()


def _loader(ground: Ground, raw: Path) -> Iterator[Any]:
    files = _Files(ground, raw)
    yield from torch.utils.data.DataLoader(files, batch_size=BATCH, shuffle=True, drop_last=True)


if __name__ == "__main__":
    print(pd.DataFrame(measure(print)).T.to_string())
