"""A small case of each task with a registered champion, and batches that come to its raw folder."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pandas as pd
import torch
import yaml

from graft.adapters.datasets import RegisteredModelDataset
from graft.adapters.promotion.case import Case
from graft.adapters.registry import resolve
from graft.adapters.retraining.looking import Seen, look
from graft.adapters.retraining.watching import watch
from graft.vision.contenders.ground import Ground
from graft.vision.contenders.meeting import predict_contenders
from graft.vision.model import TrainedModel, as_tensor
from graft.vision.monitoring.retraining_options import RetrainingOptions
from graft.vision.preprocessing import view_of
from graft.vision.promotion.options import PromotionOptions
from graft.vision.records import Array
from graft.vision.serving import predict_images
from small_tasks import SMALL_TASKS

CLASSES = ("ant", "bee", "wasp")
SIDE_PX, VIEW_PX = 96, 64
KNOWN_IMAGES, NEW_IMAGES = 72, 36
BASE = Path(__file__).resolve().parents[3] / "conf" / "base" / "parameters"
SOURCES: dict[str, dict[str, Any]] = {
    "classification": {"layout": "folders"},
    "detection": {"layout": "coco"},
    "segmentation": {"layout": "masks", "class_names": ["ground", *CLASSES]},
}


@dataclass(frozen=True)
class Drawn:
    """A picture of an insect on soft ground: its class, and where it sits (x, y, side in px)."""

    name: str
    kind: int
    pixels: Array
    place: tuple[int, int, int]


def draw(number: int, kind: int | None = None) -> Drawn:
    """The same picture for the same number; its class is told by its colour."""
    rng = np.random.default_rng(number)
    kind = number % len(CLASSES) if kind is None else kind
    coarse = rng.uniform(30, 140, (6, 6, 3)).astype(np.float32)
    soft = cv2.resize(coarse, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_CUBIC)
    side = int(rng.integers(36, 56))
    left, top = (int(start) for start in rng.integers(2, SIDE_PX - side - 2, 2))
    soft[top : top + side, left : left + side] *= 0.4
    soft[top : top + side, left : left + side, kind] += 150
    pixels = np.clip(soft + rng.normal(0, 8, soft.shape), 0, 255).astype(np.uint8)
    return Drawn(f"{number:04d}.png", kind, pixels, (left, top, side))


def drawn(start: int, count: int) -> list[Drawn]:
    """So many of a row."""
    return [draw(number) for number in range(start, start + count)]


def shown(pictures: Sequence[Drawn], change: Callable[[Array], Array]) -> list[Drawn]:
    """The same, each with its pixels changed."""
    return [replace(one, pixels=change(one.pixels)) for one in pictures]


def lay_out(task: str, raw: Path, pictures: Sequence[Drawn]) -> None:
    """Write pictures with what annotators said of them; earlier ones stay."""
    {"classification": _lay_folders, "detection": _lay_boxes, "segmentation": _lay_masks}[task](
        raw, pictures
    )


def _lay_folders(raw: Path, pictures: Sequence[Drawn]) -> None:
    for one in pictures:
        write(raw / CLASSES[one.kind] / one.name, one.pixels)


def _lay_boxes(raw: Path, pictures: Sequence[Drawn]) -> None:
    file = raw / "boxes.json"
    kinds = [{"id": i + 1, "name": name} for i, name in enumerate(CLASSES)]
    told = {"images": [], "annotations": [], "categories": kinds}
    if file.is_file():
        told = json.loads(file.read_text())
    for one in pictures:
        write(raw / "images" / one.name, one.pixels)
        number = len(told["images"]) + 1
        size = {"width": SIDE_PX, "height": SIDE_PX}
        left, top, side = one.place
        told["images"].append({"id": number, "file_name": f"images/{one.name}", **size})
        box = {"bbox": [left, top, side, side], "area": side * side, "iscrowd": 0}
        told["annotations"].append(
            {"id": number, "image_id": number, "category_id": one.kind + 1, **box}
        )
    file.write_text(json.dumps(told))


def _lay_masks(raw: Path, pictures: Sequence[Drawn]) -> None:
    for one in pictures:
        write(raw / "images" / one.name, one.pixels)
        mask = np.zeros((SIDE_PX, SIDE_PX), np.uint8)
        left, top, side = one.place
        mask[top : top + side, left : left + side] = one.kind + 1
        (raw / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(raw / "masks" / one.name), mask)


def write(file: Path, pixels: Array) -> None:
    """RGB pixels as a file whose name says how."""
    file.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(file), pixels[:, :, ::-1])


@dataclass(frozen=True)
class WatchedCase:
    """A champion with its images; a batch gets a raw folder of its own, stores are shared."""

    case: Case
    said: dict[str, Any]
    split: pd.DataFrame
    champion: Any
    model: TrainedModel

    def arrive(
        self, name: str, pictures: Sequence[Drawn] = (), also: Callable[[Path], None] | None = None
    ) -> "WatchedCase":
        """The case after a batch has come, and something was done to the raw folder."""
        raw = self.case.project / "arrived" / name
        shutil.copytree(self.case.raw, raw)
        lay_out(self.case.task_name, raw, pictures)
        if also is not None:
            also(raw)
        return replace(self, case=replace(self.case, raw=raw))

    def look(self) -> Seen:
        """The data as they lie now."""
        return look(self.case.project, self.case.raw, self.said, self.split)

    def watch(self, power: bool = False, **retraining: Any) -> dict[str, Any] | None:
        """What is said of the data as they lie now."""
        options = RetrainingOptions.parse({**self.said["retraining"], **retraining}, "test")
        return watch(self.case, self.champion, self.split, self.look(), options, power=power)

    def say(
        self, case: Case, version: Any, images: Mapping[str, str], threads: int | None
    ) -> tuple[dict[str, Any], pd.DataFrame]:
        """As `graft.adapters.promotion.loading.say`, in this process."""
        table = predict_images(self.model, [case.raw / path for path in images])
        return {}, table.drop(columns="error")


def open_case(task: str, folder: Path) -> WatchedCase:
    """A champion that classifies by colour; one of boxes or masks has not been trained."""
    case = Case(
        folder, "tiny", f"tiny-{task}", task, PromotionOptions(), folder / "raw", "tiny"
    )  # fmt: skip
    lay_out(task, case.raw, drawn(0, KNOWN_IMAGES))
    said = settings(task)
    seen = look(folder, case.raw, said, None)
    model = _champion(seen.ground)
    version = _register(case, seen, model)
    return WatchedCase(case, said, seen.split_manifest, version, model)


def settings(task: str) -> dict[str, Any]:
    """The defaults, for small images."""
    said: dict[str, Any] = yaml.safe_load((BASE / f"{task}.yml").read_text())[task]
    said["task"] |= SMALL_TASKS[task]
    said["ingestion"]["source"] = SOURCES[task]
    said["ingestion"]["split"]["test_share"] = 0.3
    said["augmentation"]["preset"] = "none"
    said["backbone"] |= {"name": "test_efficientnet", "weights": "none", "image_size_px": VIEW_PX}
    said["backbone"]["fit"] = "squash"
    said["feature_extraction"]["engine"] = "torch"
    said["retraining"]["monitoring"] |= {"resamples": 200}
    return said


def _champion(ground: Ground) -> TrainedModel:
    module = ground.new_model()
    if isinstance(module.head, torch.nn.Linear):
        rows = ground.split("train")
        views = [view_of(ground.pixels.read(sha), ground.preprocessing) for sha in rows["sha256"]]
        with torch.inference_mode():
            features = module.eval().features(as_tensor(views)).double()
        centre = features.mean(0)
        part = features - centre
        wanted = torch.from_numpy(np.stack([t["targets"] for t in ground.truths(rows)])).double()
        square = part.T @ part
        ridge = 1e-3 * square.trace() / len(square) * torch.eye(len(square)).double()
        weight = 6 * torch.linalg.solve(square + ridge, part.T @ (wanted - wanted.mean(0)))
        with torch.no_grad():
            module.head.weight.copy_(weight.T)
            module.head.bias.copy_(-(centre @ weight))
    return ground.finish("fine_tuned", module, "full", 1.0, {})


def _register(case: Case, seen: Seen, model: TrainedModel) -> Any:
    mlflow.set_tracking_uri(f"sqlite:///{case.project}/mlflow.db")
    mlflow.create_experiment("tiny", artifact_location=(case.project / "mlruns").as_uri())
    mlflow.set_experiment("tiny")
    written = case.project / "written"
    written.mkdir()
    predict_contenders(seen.ground, [model], {"fine_tuned": 1.0}).to_parquet(
        written / "test_predictions.parquet"
    )
    seen.split_manifest.to_parquet(written / "split_manifest.parquet")
    seen.quarantine.to_csv(written / "quarantine.csv", index=False)
    (written / "leaks.csv").write_text("id,given_split,other_id,other_split,why,action\n")
    record = case.project / "reports" / "registered_model.json"
    record.parent.mkdir()
    with mlflow.start_run(tags={"machine.threads": str(torch.get_num_threads())}):
        mlflow.log_artifacts(str(written), case.task_name)
        RegisteredModelDataset(case.model, str(record)).save(model)
    return resolve(f"{case.model}/1")
