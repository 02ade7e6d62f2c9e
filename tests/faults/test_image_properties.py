"""What must hold of any data set: its digest, its split, its copies, and its augmented views."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import PRESETS, compose_policy
from graft.vision.augmentation.sampling import Augmenter
from graft.vision.data.manifest import build_manifest
from graft.vision.data.masks import IGNORED
from graft.vision.data.near_copies import find_near_copies, open_fingerprints
from graft.vision.data.options import IngestionOptions, SourceOptions, SplitOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.splits import split_manifest
from graft.vision.errors import DataError
from graft.vision.preprocessing import Preprocessing
from graft.vision.records import Array, data_digest
from graft.vision.tasks import choose_task

CLASSES = ("ant", "bee", "wasp")
TABLE: dict[str, Any] = {"layout": "table", "group_column": "group"}
FOLDERS = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
"""An example writes a data set."""


# --- digest and split ----------------------------------------------------------------------------


@st.composite
def sets(draw: st.DrawFn) -> pd.DataFrame:
    """Names, classes and groups of 6 to 14 images; every class and group has several."""
    count = draw(st.integers(6, 14))
    rows = pd.DataFrame({"path": [f"{number}.bmp" for number in range(count)]})
    rows["label"] = [CLASSES[number % 2] for number in range(count)]
    groups = draw(st.permutations([f"g{number // 2 % 5}" for number in range(count)]))
    return rows.assign(group=groups)


def lay(root: Path, rows: pd.DataFrame, order: Sequence[int]) -> Path:
    """Write images and table in an order of rows; a row's pixels go by its name."""
    root.mkdir(parents=True)
    for place in order:
        name = str(rows["path"][place])
        seed = int(name.split(".")[0])
        pixels = np.random.default_rng(seed).integers(0, 256, (9, 12, 3), np.uint8)
        Image.fromarray(pixels).save(root / name)
    rows.iloc[list(order)].to_csv(root / "labels.csv", index=False)
    return root


def ingest(root: Path, work: Path, source: dict[str, Any] = TABLE) -> pd.DataFrame:
    options = IngestionOptions(source=SourceOptions.parse(source, "test"))
    return build_manifest(root, PixelStore(work, options.decoding), options).manifest


def sides(manifest: pd.DataFrame, seed: int = 0) -> dict[str, str]:
    """The split of each image; empty where there are too few classes or groups to split."""
    none = pd.DataFrame(columns=["id_a", "id_b", "kind", "score", "how"])
    try:
        split = split_manifest(manifest, none, SplitOptions(seed=seed)).split_manifest
    except DataError:
        return {}
    return dict(zip(split["id"], split["split"], strict=True))


@FOLDERS
@given(data=st.data(), rows=sets())
def test_digest_and_split__know_content_and_no_order(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rows: pd.DataFrame
) -> None:
    """Any order of files and rows gives one digest and split; any byte or label another digest."""
    folder, places = tmp_path_factory.mktemp("sets"), list(rows.index)
    first = ingest(lay(folder / "a", rows, places), folder / "pixels")
    order = data.draw(st.permutations(places))
    other = ingest(lay(folder / "b", rows, order), folder / "pixels")
    assert data_digest(first) == data_digest(other)
    assert sides(first) == sides(other)
    place = data.draw(st.sampled_from(places))
    name = str(rows["path"][place])
    if data.draw(st.booleans()):
        pixels = bytearray((folder / "b" / name).read_bytes())
        at = data.draw(st.integers(54, len(pixels) - 1))  # behind the header
        pixels[at] ^= 1 << data.draw(st.integers(0, 7))
        (folder / "b" / name).write_bytes(pixels)
    else:
        changed = rows.copy()
        changed.loc[place, "label"] = CLASSES[(place + 1) % 2]
        changed.to_csv(folder / "b/labels.csv", index=False)
    now = ingest(folder / "b", folder / "pixels")
    assert data_digest(now) != data_digest(first)
    both = first.merge(now, on="id", suffixes=("", "_now"))
    moved = (both["sha256"] != both["sha256_now"]) | (both["truth"] != both["truth_now"])
    assert list(both["id"][moved]) == [name]


@FOLDERS
@given(rows=sets(), seed=st.integers(0, 9))
def test_split__keeps_shuffled_groups_of_a_table_whole(
    tmp_path_factory: pytest.TempPathFactory, rows: pd.DataFrame, seed: int
) -> None:
    folder = tmp_path_factory.mktemp("groups")
    split = sides(ingest(lay(folder / "a", rows, list(rows.index)), folder / "pixels"), seed)
    for _, group in rows.groupby("group"):
        assert len({split[name] for name in group["path"] if name in split}) <= 1
    if split:
        assert set(split) == set(rows["path"])


@pytest.mark.parametrize("layout", ["table", "boxes_csv", "folders"])
def test_groups__that_are_declared_and_absent_are_refused(tmp_path: Path, layout: str) -> None:
    root = tmp_path / "raw"
    for number in range(4):
        path = root / CLASSES[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9), (number, 0, 0)).save(path)
    lines = [f"{CLASSES[n % 2]}/{n}.png,{CLASSES[n % 2]},1,1,5,5" for n in range(4)]
    (root / "t.csv").write_text("\n".join(["path,label,xmin,ymin,xmax,ymax", *lines]))
    with pytest.raises(DataError, match="patient"):
        ingest(root, tmp_path / "pixels", {"layout": layout, "group_column": "patient"})


# --- near copies across splits -------------------------------------------------------------------


def texture(seed: int, height: int = 150, width: int = 190) -> Array:
    """A picture with structure at three scales."""
    rng, out = np.random.default_rng(seed), np.zeros((height, width, 3), np.float32)
    for size in (5, 12, 30):
        coarse = rng.normal(0, size**0.5, (height // size, width // size, 3)).astype(np.float32)
        out += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return ((out - out.min()) / (out.max() - out.min()) * 255).astype(np.uint8)


COPIES = {
    "re-encoded": lambda p: p,
    "smaller": lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "brighter": lambda p: np.clip(p.astype(int) + 30, 0, 255).astype(np.uint8),
    "cropped by 3 %": lambda p: p[2:-2, 3:-3],
    "cropped by 10 %": lambda p: p[8:-7, 9:-10],
    "mirrored": lambda p: p[:, ::-1],
    "turned": lambda p: np.rot90(p),
}


def lay_copies(root: Path, *, given: bool) -> Path:
    """Pictures of two classes; of some a copy as JPEG, in another given split where there is one.

    Beside them flat pictures that are all but alike, and copies of nothing.
    """
    drawn = {f"{kind}": texture(seed) for seed, kind in enumerate(COPIES)}
    rest = {f"other {seed}": texture(100 + seed) for seed in range(13)}
    flat = {
        f"flat {n}": np.random.default_rng(n).integers(119, 123, (90, 90, 3), np.uint8)
        for n in range(6)
    }
    for number, (name, pixels) in enumerate({**drawn, **rest, **flat}.items()):
        kind = CLASSES[number % 2]
        for side, copy in (("train", False), ("test", True)):
            if copy and name not in COPIES and number % 4:
                continue
            path = root / (side if given else "") / kind / f"{name}{' copy' * copy}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if copy and name in COPIES:
                changed = np.ascontiguousarray(COPIES[name](pixels))
                Image.fromarray(changed).save(path.with_suffix(".jpg"), quality=60)
            elif not copy:
                Image.fromarray(pixels).save(path)
            else:
                Image.fromarray(texture(200 + number)).save(path)
    return root


@pytest.mark.parametrize("given_split", [True, False], ids=["given", "drawn"])
def test_near_copies__that_are_planted_never_stand_in_two_splits(
    tmp_path: Path, given_split: bool
) -> None:
    options = IngestionOptions(split=SplitOptions(withheld_share_max=1.0))
    store = PixelStore(tmp_path / "pixels", options.decoding)
    root = lay_copies(tmp_path / "raw", given=given_split)
    manifest = build_manifest(root, store, options).manifest
    prints = open_fingerprints(tmp_path / "prints", options.decoding)
    pairs = find_near_copies(manifest, store, prints, options.near_copies).pairs
    found = {frozenset(map(_stem, pair)) for pair in zip(pairs["id_a"], pairs["id_b"], strict=True)}
    assert found == {frozenset((kind, f"{kind} copy")) for kind in COPIES}
    splitting = split_manifest(manifest, pairs, options.split)
    split = {_stem(row.id): row.split for row in splitting.split_manifest.itertuples()}
    withheld = {_stem(name) for name in splitting.leaks["id"]}
    for kind in COPIES:
        pair = {split.get(kind), split.get(f"{kind} copy")} - {None}
        assert len(pair) == 1 and (withheld >= {kind}) == given_split
    assert not [name for name in withheld if name.startswith(("flat", "other"))]


def _stem(path: str) -> str:
    return path.rsplit("/", 1)[-1].rsplit(".", 1)[0]


# --- augmentation --------------------------------------------------------------------------------

VIEW = Preprocessing.parse(
    {"size_px": 64, "fit": "squash", "mean": (0.5,) * 3, "std": (0.5,) * 3}, "test"
)
TASKS = {name: choose_task({"name": name})[0] for name in ("detection", "segmentation")}
WHERE = st.tuples(st.integers(0, 99), st.text(max_size=5))
"""Epoch and id of a sample."""


def augmenter_of(preset: str, strength: float, task: str, seed: int) -> Augmenter:
    options = PolicyOptions.parse({"preset": preset, "strength": strength}, "test")
    return Augmenter(compose_policy(options, VIEW, TASKS[task]), TASKS[task], seed)


def sample(task: str, number: int) -> tuple[Array, dict[str, Array]]:
    """Noise with one to three boxes, or a mask of three classes and void."""
    rng = np.random.default_rng(number)
    height, width = int(rng.integers(20, 120)), int(rng.integers(20, 120))
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    targets = np.ones(3, np.float32)
    if task == "segmentation":
        values = np.array([0, 1, 2, IGNORED], np.uint8)
        mask = values[rng.integers(0, 4, (height, width))]
        return pixels, {"targets": targets, "mask": mask}
    low = rng.uniform(0, 0.7, (int(rng.integers(0, 4)), 2))
    boxes = np.hstack([low, low + rng.uniform(0.1, 0.3, low.shape)]).astype(np.float32)
    class_ids = rng.integers(0, 3, len(boxes))
    return pixels, {"targets": targets, "boxes_xyxy": boxes, "class_ids": class_ids}


def digest_of_sample(pixels: Array, truth: dict[str, Array]) -> str:
    parts = [pixels, *(truth[name] for name in sorted(truth))]
    return hashlib.sha256(b"".join(repr(p.shape).encode() + p.tobytes() for p in parts)).hexdigest()


@settings(max_examples=60, deadline=None)
@given(
    preset=st.sampled_from(sorted(PRESETS)),
    task=st.sampled_from(sorted(TASKS)),
    seed=st.integers(0, 2**31),
    asked=WHERE,
    before=st.lists(WHERE, max_size=4),
)
def test_augmentation__depends_on_seed_epoch_and_id_alone(
    preset: str, task: str, seed: int, asked: tuple[int, str], before: list[tuple[int, str]]
) -> None:
    """Not on what was drawn before, nor on which images that was drawn for."""
    fresh, used = (augmenter_of(preset, 1.0, task, seed) for _ in range(2))
    for number, (epoch, name) in enumerate(before):
        used(*sample(task, number + 1), epoch, name)
    one, other = (each(*sample(task, 0), *asked) for each in (fresh, used))
    assert digest_of_sample(*one) == digest_of_sample(*other)


@settings(max_examples=120, deadline=None)
@given(
    preset=st.sampled_from(sorted(PRESETS)),
    strength=st.sampled_from([0.1, 1.0, 2.0]),
    task=st.sampled_from(sorted(TASKS)),
    number=st.integers(0, 10_000),
    where=WHERE,
)
def test_augmentation__keeps_truths_inside_the_view(
    preset: str, strength: float, task: str, number: int, where: tuple[int, str]
) -> None:
    """IoU with what is seen, and round trips: tests/vision/augmentation/test_geometry.py."""
    pixels, truth = sample(task, number)
    view, found = augmenter_of(preset, strength, task, 0)(pixels, truth, *where)
    assert view.shape == (64, 64, 3) and view.dtype == np.uint8
    if task == "segmentation":
        assert found["mask"].shape == (64, 64) and found["mask"].dtype == np.uint8
        assert set(np.unique(found["mask"])) <= {*np.unique(truth["mask"]), IGNORED}
        return
    boxes = found["boxes_xyxy"]
    assert boxes.shape == (len(found["class_ids"]), 4) and len(boxes) <= len(truth["class_ids"])
    assert ((boxes >= 0) & (boxes <= 64)).all() and (boxes[:, :2] < boxes[:, 2:]).all()
    assert set(found["class_ids"]) <= set(truth["class_ids"])
    json.dumps(boxes.tolist(), allow_nan=False)
