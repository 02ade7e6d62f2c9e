"""The embedded sample: what is rendered is deterministic, true to its own truth, and says so."""

import json
import time
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rendered_files import brightness, files_of

from graft.vision.data.street_scenes import StreetScenesOptions, folder, render_folder
from graft.vision.data.street_scenes.__main__ import main
from graft.vision.data.street_scenes.camera import Camera
from graft.vision.data.street_scenes.canvas import BOX_CLASSES, MASK_CLASSES
from graft.vision.data.street_scenes.drives import deal_classes, plan_parts
from graft.vision.data.street_scenes.scene import Scene, render_scene
from graft.vision.data.street_scenes.sign_faces import SIGN_CLASSES, sign_face
from graft.vision.errors import DataError, OptionsError

TINY = StreetScenesOptions(
    train_drives=1,
    test_drives=1,
    batch_drives=1,
    scenes_per_drive=1,
    signs_per_scene_min=2,
    signs_per_scene_max=2,
)
SMALL = StreetScenesOptions(
    train_drives=3,
    test_drives=2,
    batch_drives=3,
    scenes_per_drive=3,
    signs_per_scene_min=4,
    signs_per_scene_max=5,
)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("raw") / "street_scenes"
    render_folder(target, SMALL)
    return target


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    """A scene of each drive, so of several conditions."""
    options = SMALL.model_copy(update={"train_drives": 6, "scenes_per_drive": 1})
    return [render_scene(order) for order in plan_parts(options)["train"]]


def test_render_folder__same_seed_same_bytes(tmp_path: Path) -> None:
    render_folder(tmp_path / "one", TINY)
    render_folder(tmp_path / "two", TINY)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")


def test_render_folder__another_seed_gives_other_pictures(tmp_path: Path) -> None:
    render_folder(tmp_path / "one", TINY)
    render_folder(tmp_path / "two", TINY.model_copy(update={"seed": 1}))
    name = "scenes/train/images/d01_s0001.jpg"
    assert files_of(tmp_path / "one")[name] != files_of(tmp_path / "two")[name]


def test_render_scene__does_not_depend_on_what_was_rendered_before() -> None:
    first, second, *_ = plan_parts(SMALL)["train"]
    alone = render_scene(second)
    render_scene(first)
    np.testing.assert_array_equal(render_scene(second).picture, alone.picture)


def test_plan_parts__no_drive_is_in_two_parts() -> None:
    usual = plan_parts(StreetScenesOptions())
    later = plan_parts(StreetScenesOptions(drifted=True))
    drives = {
        part: {order.drive.number for order in orders}
        for part, orders in {**usual, **later}.items()
    }
    assert len(drives["train"]) >= 8 and len(drives["test"]) >= 4
    assert max(drives["train"]) < min(drives["test"])
    assert max(drives["test"]) < min(drives["batch"])


def test_plan_parts__every_part_shows_twelve_classes_mildly_unevenly() -> None:
    for drifted in (False, True):
        for orders in plan_parts(StreetScenesOptions(drifted=drifted)).values():
            counts = Counter(name for order in orders for name in order.sign_classes)
            assert set(counts) == set(SIGN_CLASSES) and len(counts) == 12
            assert 1.5 < max(counts.values()) / min(counts.values()) < 4


@settings(max_examples=30, deadline=None)
@given(count=st.integers(0, 400), seed=st.integers(0, 99))
def test_deal_classes__deals_so_many_and_leaves_no_class_out(count: int, seed: int) -> None:
    dealt = deal_classes(count, np.random.default_rng(seed))
    assert len(dealt) == count
    assert count < 24 or set(dealt) == set(SIGN_CLASSES)


def test_sign_face__twelve_faces_differ_and_cover_their_plate() -> None:
    faces = [sign_face(name) for name in SIGN_CLASSES]
    assert len({face.tobytes() for face in faces}) == 12
    for face in faces:
        assert face[..., :3].max(axis=2).max() <= 255 and face[48, 48, 3] == 255
        assert (face[..., :3] <= face[..., 3:].astype(int) + 1).all(), "colour beyond the plate"


def test_camera__what_is_farther_is_smaller_and_nearer_the_horizon() -> None:
    camera = Camera()
    near, far = camera.project([[2, 0, 10], [2, 0, 40]])
    assert near[0] - camera.centre_px == pytest.approx(4 * (far[0] - camera.centre_px))
    assert near[1] > far[1] > camera.horizon_px
    row = round(near[1])
    assert camera.ground_depth_m()[row] == pytest.approx(10, rel=0.03)


def test_scene__boxes_are_the_extents_of_what_is_seen(scenes: list[Scene]) -> None:
    found = Counter()
    for scene in scenes:
        height, width = scene.mask.shape
        assert scene.picture.shape == (height, width, 3)
        for thing in scene.objects:
            rows, columns = np.nonzero(scene.instances == thing.instance)
            x, y, w, h = thing.box_xywh
            assert (x, y, x + w - 1, y + h - 1) == (
                columns.min(), rows.min(), columns.max(), rows.max(),
            )  # fmt: skip
            assert x >= 0 and y >= 0 and x + w <= width and y + h <= height
            assert thing.area_px == len(rows)
            assert set(scene.mask[rows, columns]) == {MASK_CLASSES.index(thing.name)}
            found[thing.name] += 1
    assert set(found) == set(BOX_CLASSES)


def test_scene__masks_hold_road_and_sky_and_count_all_instances(scenes: list[Scene]) -> None:
    counted = [MASK_CLASSES.index(name) for name in BOX_CLASSES]
    for scene in scenes:
        shares = np.bincount(scene.mask.ravel(), minlength=len(MASK_CLASSES)) / scene.mask.size
        assert len(shares) == len(MASK_CLASSES)
        assert shares[MASK_CLASSES.index("road")] > 0.15
        assert shares[MASK_CLASSES.index("sky")] > 0.02
        np.testing.assert_array_equal(np.isin(scene.mask, counted), scene.instances > 0)


def test_scene__sign_crops_are_small_and_not_flat(scenes: list[Scene]) -> None:
    crops = [crop for scene in scenes for _, crop in scene.sign_crops]
    assert len(crops) >= 2 * len(scenes)
    for crop in crops:
        assert min(crop.shape[:2]) >= 24 and max(crop.shape[:2]) <= 64
        assert crop.std() > 3


def test_render_folder__coco_boxes_fit_the_written_masks(rendered: Path) -> None:
    for part in ("train", "test"):
        record = json.loads((rendered / "scenes" / f"{part}.json").read_text())
        names = {category["id"]: category["name"] for category in record["categories"]}
        masks = {}
        for image in record["images"]:
            picture = cv2.imread(str(rendered / "scenes" / part / "images" / image["file_name"]))
            mask_name = image["file_name"].replace(".jpg", ".png")
            mask = cv2.imread(str(rendered / "scenes" / part / "masks" / mask_name), -1)
            assert picture.shape[:2] == mask.shape == (image["height"], image["width"])
            masks[image["id"]] = mask
        assert len({row["id"] for row in record["annotations"]}) == len(record["annotations"])
        for row in record["annotations"]:
            x, y, w, h = row["bbox"]
            inside = masks[row["image_id"]][y : y + h, x : x + w]
            seen = inside == MASK_CLASSES.index(names[row["category_id"]])
            assert seen[0].any() and seen[-1].any() and seen[:, 0].any() and seen[:, -1].any()
            assert seen.sum() >= row["area"] > 0


def test_render_folder__writes_what_its_layout_says(rendered: Path) -> None:
    names = files_of(rendered)
    classes = (rendered / "scenes" / "classes.txt").read_text().split()
    assert tuple(classes) == MASK_CLASSES
    assert {path.name for path in (rendered / "signs" / "train").iterdir()} == set(SIGN_CLASSES)
    signs = [name.split("/") for name in names if name.startswith("signs/")]
    for _, part, _, file in signs:
        assert f"scenes/{part}/images/{file[:9]}.jpg" in names, "a sign without its scene"


def test_render_folder__readme_says_synthetic_with_seed_and_counts(rendered: Path) -> None:
    text = (rendered / "README.md").read_text()
    signs = len(list((rendered / "signs" / "train").rglob("*.png")))
    assert "Synthetic: every picture was rendered by graft itself" in text
    assert "Seed 0" in text and "Licence" in text
    assert f"| train | d01 to d03 | 9 | {signs} |" in text


def test_render_folder__drifted_batch_is_darker_and_goes_on_with_other_drives(
    rendered: Path, tmp_path: Path
) -> None:
    render_folder(tmp_path / "batch", SMALL.model_copy(update={"drifted": True}))
    darker = brightness((tmp_path / "batch").rglob("*.jpg"))
    assert darker < brightness(rendered.rglob("*.jpg")) - 10
    assert {path.name for path in (tmp_path / "batch" / "signs").iterdir()} == {"batch"}
    drives = {path.name[:3] for path in (tmp_path / "batch").rglob("*.jpg")}
    assert drives == {"d06", "d07", "d08"}


def test_render_folder__default_size_stays_in_its_limits(rendered: Path) -> None:
    planned = plan_parts(StreetScenesOptions())
    scenes = sum(len(orders) for orders in planned.values())
    signs = {
        part: sum(len(order.sign_classes) for order in orders) for part, orders in planned.items()
    }
    assert 560 <= signs["train"] <= 700 and 220 <= signs["test"] <= 300
    sizes = [len(content) for content in files_of(rendered).values()]
    assert sum(sizes) / 15 * scenes < 8_000_000 and max(sizes) < 1_000_000


def test_render_scene__costs_a_fraction_of_a_second() -> None:
    orders = plan_parts(SMALL)["train"]
    render_scene(orders[0])
    began = time.thread_time()
    for order in orders:
        render_scene(order)
    # 224 scenes in 20 s leave 0.09 s each; processor time, so that other work does not count.
    assert (time.thread_time() - began) / len(orders) < 0.09


def test_render_folder__replaces_an_earlier_render_only(tmp_path: Path) -> None:
    target = tmp_path / "sample"
    target.mkdir()
    render_folder(target, TINY)
    (target / "stale.txt").write_text("from before")
    lines: list[str] = []
    render_folder(target, TINY, say=lines.append)
    assert not (target / "stale.txt").exists()
    assert [line.partition(":")[0] for line in lines] == ["train", "test"]
    assert [path.name for path in tmp_path.iterdir()] == ["sample"], "something is left beside"
    with pytest.raises(DataError, match="name another folder"):
        render_folder(target, TINY.model_copy(update={"drifted": True}))


@pytest.mark.parametrize("readme", [None, "# my own data\n"])
def test_render_folder__refuses_a_folder_of_somebody_else(
    tmp_path: Path, readme: str | None
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    if readme:
        (tmp_path / "README.md").write_text(readme)
    with pytest.raises(DataError, match="not replaced"):
        render_folder(tmp_path, TINY)
    assert (tmp_path / "photo.jpg").read_bytes() == b"mine"


def test_render_folder__a_failure_leaves_the_earlier_render(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "sample"
    render_folder(target, TINY)
    before = files_of(target)

    def fail(*_: object) -> str:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(folder, "write_readme", fail)
    with pytest.raises(OSError, match="no space"):
        render_folder(target, TINY)
    assert files_of(target) == before
    assert [path.name for path in tmp_path.iterdir()] == ["sample"]


def test_main__says_in_one_line_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"mine")
    assert main([str(tmp_path)]) == 1
    assert main([str(tmp_path / "new"), "--seed", "-1"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "not replaced" in said[0] and "seed" in said[1]


def test_options__refuse_contradictions() -> None:
    with pytest.raises(OptionsError, match="below signs_per_scene_min"):
        StreetScenesOptions.parse({"signs_per_scene_min": 5, "signs_per_scene_max": 4}, "test")
    with pytest.raises(OptionsError, match="did you mean 'drifted'"):
        StreetScenesOptions.parse({"drift": True}, "test")
