"""Near copies: planted ones are found, look-alikes and flat images are not merged."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest

from graft.vision.data.decoding import DecodingOptions, decode
from graft.vision.data.manifest import build_manifest
from graft.vision.data.near_copies import (
    PAIR_COLUMNS,
    clusters_of,
    find_near_copies,
    open_fingerprints,
)
from graft.vision.data.options import IngestionOptions, NearCopyOptions, SourceOptions
from graft.vision.data.pixels import PixelStore

RULE = DecodingOptions()


class Pictures:
    """Pixels in memory, with the manifest that names them."""

    def __init__(self, pictures: dict[str, np.ndarray], groups: dict[str, str] | None = None):
        self.by_digest: dict[str, np.ndarray] = {}
        self.reads = 0
        rows = []
        for name, pixels in pictures.items():
            pixels = np.ascontiguousarray(pixels if pixels.ndim == 3 else pixels[:, :, None])
            sha256 = hashlib.sha256(pixels.tobytes() + str(pixels.shape).encode()).hexdigest()
            self.by_digest[sha256] = pixels
            height, width = pixels.shape[:2]
            rows.append((name, sha256, width, height, (groups or {}).get(name, "")))
        self.manifest = pd.DataFrame(rows, columns=["id", "sha256", "width", "height", "group"])

    def read(self, sha256: str) -> np.ndarray:
        self.reads += 1
        return self.by_digest[sha256]


@pytest.fixture
def find(tmp_path: Path) -> Callable[..., pd.DataFrame]:
    def found(pictures: dict | Pictures, groups=None, **options) -> pd.DataFrame:
        known = pictures if isinstance(pictures, Pictures) else Pictures(pictures, groups)
        cache = open_fingerprints(tmp_path / "fingerprints", RULE)
        return find_near_copies(known.manifest, known, cache, NearCopyOptions(**options)).pairs

    return found


def pairs_in(pairs: pd.DataFrame, kind: str = "near") -> set[tuple[str, ...]]:
    rows = pairs[pairs["kind"] == kind]
    return {tuple(sorted(pair)) for pair in zip(rows["id_a"], rows["id_b"], strict=True)}


def texture(seed: int, height: int = 160, width: int = 200) -> np.ndarray:
    """A picture with structure at four scales."""
    draw = np.random.default_rng(seed)
    out = draw.normal(0, 0.3, (height, width, 3)).astype(np.float32)
    for size in (4, 8, 16, 32):
        coarse = draw.normal(0, size**0.5, (height // size, width // size, 3)).astype(np.float32)
        out += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return ((out - out.min()) / (out.max() - out.min()) * 255).astype(np.uint8)


def encoded(pixels: np.ndarray, quality: int) -> np.ndarray:
    return cv2.imdecode(
        cv2.imencode(".jpg", np.ascontiguousarray(pixels), [cv2.IMWRITE_JPEG_QUALITY, quality])[1],
        cv2.IMREAD_COLOR,
    )


def scaled(pixels: np.ndarray, factor: float) -> np.ndarray:
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=how)


def shifted(pixels: np.ndarray, levels: float) -> np.ndarray:
    return np.clip(pixels.astype(float) + levels, 0, 255).astype(np.uint8)


def cropped(pixels: np.ndarray, left=0.0, top=0.0, right=0.0, bottom=0.0) -> np.ndarray:
    height, width = pixels.shape[:2]
    return pixels[
        round(height * top) : height - round(height * bottom),
        round(width * left) : width - round(width * right),
    ]


SAME_FRAME = {
    "jpeg 50": lambda p: encoded(p, 50),
    "jpeg 20": lambda p: encoded(p, 20),
    "half the size": lambda p: scaled(p, 0.5),
    "a third of the size": lambda p: scaled(p, 0.34),
    "twice the size": lambda p: scaled(p, 2),
    "brighter": lambda p: shifted(p, 30),
    "darker": lambda p: shifted(p, -30),
    "less contrast": lambda p: (p * 0.6 + 40).astype(np.uint8),
    "grey": lambda p: cv2.cvtColor(np.ascontiguousarray(p), cv2.COLOR_RGB2GRAY),
}
TURNED = {
    "mirrored": lambda p: p[:, ::-1],
    "upside down": lambda p: p[::-1],
    "rot90": lambda p: np.rot90(p),
    "rot180": lambda p: np.rot90(p, 2),
    "rot270": lambda p: np.rot90(p, 3),
    "transposed": lambda p: p.transpose(1, 0, 2),
}
CROPPED = {
    "3 % from the middle": lambda p: cropped(p, 0.015, 0.015, 0.015, 0.015),
    "3 % from a corner": lambda p: cropped(p, 0.03, 0.03),
    "3 % from each side": lambda p: cropped(p, 0.03, 0.03, 0.03, 0.03),
    "10 % from the middle": lambda p: cropped(p, 0.05, 0.05, 0.05, 0.05),
    "10 % from the upper left": lambda p: cropped(p, 0.1, 0.1),
    "10 % from the upper right": lambda p: cropped(p, 0, 0.1, 0.1),
    "10 % from the lower left": lambda p: cropped(p, 0.1, 0, 0, 0.1),
    "10 % from the lower right": lambda p: cropped(p, 0, 0, 0.1, 0.1),
}
BOTH = {
    "mirrored, cropped, encoded": lambda p: encoded(
        cropped(p[:, ::-1], 0.02, 0.02, 0.02, 0.02), 60
    ),
    "turned and cropped": lambda p: np.rot90(cropped(p, 0.05, 0.05, 0.05, 0.05)),
    "smaller and brighter": lambda p: shifted(scaled(p, 0.5), 20),
}
PLANTED = SAME_FRAME | TURNED | CROPPED | BOTH
ONE_SIDED = {
    f"{share:.0%} from the {side}": lambda p, side=side, share=share: cropped(p, **{side: share})
    for side in ("left", "top", "right", "bottom")
    for share in (0.03, 0.1)
}
ONE_SIDED_TOO = {
    "left and encoded": lambda p: encoded(cropped(p, left=0.1), 50),
    "top, smaller and encoded": lambda p: encoded(scaled(cropped(p, top=0.1), 0.5), 60),
    "right and mirrored": lambda p: cropped(p, right=0.1)[:, ::-1],
    "bottom, turned and brighter": lambda p: shifted(np.rot90(cropped(p, bottom=0.1)), 20),
}
BETWEEN = {
    "left 6 %": lambda p: cropped(p, left=0.06),
    "left and right": lambda p: cropped(p, left=0.04, right=0.06),
    "three sides": lambda p: cropped(p, left=0.02, top=0.07, bottom=0.03),
    "four sides": lambda p: cropped(p, 0.01, 0.04, 0.05, 0.02),
}
"""Cuts that no window foresees."""


def with_copies(pictures: dict[str, np.ndarray], change: Callable) -> dict[str, np.ndarray]:
    return {**pictures, **{f"{name} copy": change(pixels) for name, pixels in pictures.items()}}


def planted(pictures: dict[str, np.ndarray]) -> set[tuple[str, str]]:
    return {(name, f"{name} copy") for name in pictures}


@pytest.fixture(scope="module")
def textures() -> dict[str, np.ndarray]:
    return {f"{seed:02d}": texture(seed) for seed in range(12)}


@pytest.mark.parametrize("change", PLANTED)
def test_near_copies__finds_what_was_planted_and_nothing_else(find, textures, change) -> None:
    assert pairs_in(find(with_copies(textures, PLANTED[change]))) == planted(textures)


@pytest.mark.parametrize("change", ONE_SIDED)
def test_near_copies__finds_a_crop_of_one_side(find, textures, change) -> None:
    """A crop of one side changes the aspect, so the thumbnails differ by a stretch."""
    assert pairs_in(find(with_copies(textures, ONE_SIDED[change]))) == planted(textures)


@pytest.fixture(scope="module")
def insects(real_data: Path) -> dict[str, np.ndarray]:
    """A sixteenth of the photographs."""
    paths = sorted((real_data / "hymenoptera").rglob("*.jpg"))[::16]
    return {path.stem: decode(path.read_bytes(), RULE).pixels for path in paths}


@pytest.mark.parametrize(
    "change",
    ["jpeg 20", "a third of the size", "brighter", "mirrored", "rot90", *CROPPED],
)
def test_near_copies__finds_what_was_planted_among_photographs(find, insects, change) -> None:
    assert pairs_in(find(with_copies(insects, PLANTED[change]))) == planted(insects)


@pytest.mark.parametrize("change", [*ONE_SIDED, *ONE_SIDED_TOO, *BETWEEN])
def test_near_copies__finds_a_crop_of_single_sides_among_photographs(find, insects, change) -> None:
    changes = ONE_SIDED | ONE_SIDED_TOO | BETWEEN
    assert pairs_in(find(with_copies(insects, changes[change]))) == planted(insects)


def test_near_copies__finds_two_cuts_of_a_picture_that_is_absent(find, textures) -> None:
    lefts = {name: cropped(pixels, right=0.05) for name, pixels in textures.items()}
    rights = {f"{name} copy": cropped(pixels, left=0.05) for name, pixels in textures.items()}
    assert pairs_in(find(lefts | rights)) == planted(textures)


def test_near_copies__keeps_cut_frames_of_a_video_with_their_own(find, real_data: Path) -> None:
    """Frames crowd each other, yet each copy hangs together with its frame."""
    paths = sorted((real_data / "camvid/CamVid/train").glob("*.jpg"))[:60]
    frames = {path.stem: decode(path.read_bytes(), RULE).pixels for path in paths}
    pictures = with_copies(frames, ONE_SIDED["3% from the left"])
    clusters = clusters_of(Pictures(pictures).manifest, find(pictures))
    assert len(frames) == 60
    assert [name for name in frames if clusters[name] != clusters[f"{name} copy"]] == []


def test_near_copies__says_what_was_done_to_the_picture(find, textures) -> None:
    pictures = {
        "a": textures["00"],
        "a turned": np.rot90(textures["00"], 2),
        "b": textures["01"],
        "b cropped": cropped(textures["01"], 0.05, 0.05, 0.05, 0.05),
        "c": textures["02"],
        "c encoded": encoded(textures["02"], 50),
        "d": textures["03"],
        "d cropped": np.rot90(cropped(textures["03"], top=0.1)),
    }
    found = find(pictures)
    assert list(found.columns) == PAIR_COLUMNS
    how = dict(zip(found["id_a"], found["how"], strict=True))
    assert how["a"] == "rot180" and how["b"].startswith("crop 0.9") and how["c"] == "same picture"
    assert how["d"] == "rot270 crop 0.90"
    assert found["score"].between(0.95, 1).all()


# --- what is no copy -----------------------------------------------------------------------------


def test_near_copies__does_not_merge_textures_of_one_kind(find) -> None:
    grass = {
        f"{seed:02d}": np.random.default_rng(seed).integers(60, 200, (120, 120, 3), np.uint8)
        for seed in range(40)
    }
    assert find(grass).empty
    assert find({f"{seed:02d}": texture(seed) for seed in range(100, 160)}).empty


def test_near_copies__does_not_merge_flat_images(find) -> None:
    pictures = {f"grey {n}": np.full((80, 90, 3), n, np.uint8) for n in range(0, 256, 15)}
    for seed in range(12):
        draw = np.random.default_rng(seed)
        pictures[f"noise {seed}"] = draw.integers(118, 126, (80, 90, 3), np.uint8)
        pictures[f"dot {seed}"] = np.full((120, 120, 3), 250, np.uint8)
        pictures[f"dot {seed}"][10 * seed : 10 * seed + 6, 30:36] = 200
        slope = np.linspace(60 + 5 * seed, 68 + 5 * seed, 90).astype(np.uint8)
        pictures[f"slope {seed}"] = np.tile(slope, (80, 1))
    assert find(pictures).empty


def test_near_copies__keeps_real_signs_with_other_digits_apart(find, real_data: Path) -> None:
    """35 px each, one silhouette: only the digits tell them apart."""
    folder = real_data / "gtsrb/GTSRB/Final_Training/Images"
    paths = sorted(folder.glob("*_kmh/*.ppm"))
    signs = {f"{p.parent.name}/{p.stem}": decode(p.read_bytes(), RULE).pixels for p in paths}
    tracks = {name: name.rsplit("_", 1)[0] for name in signs}
    assert len({name.split("/")[0] for name in signs}) >= 7 and len(signs) > 300
    near = pairs_in(find(signs, tracks))
    assert {pair for pair in near if len({name.split("/")[0] for name in pair}) > 1} == set()


@pytest.mark.parametrize("name", ["hymenoptera", "xray_3class"])
def test_near_copies__pairs_less_than_one_in_ten_thousand_real_images(
    real_data: Path, tmp_path: Path, name
) -> None:
    options = IngestionOptions(source=SourceOptions())
    store = PixelStore(tmp_path / "pixels", options.decoding)
    manifest = build_manifest(real_data / name, store, options).manifest
    cache = open_fingerprints(tmp_path / "fingerprints", options.decoding)
    near = find_near_copies(manifest, store, cache, options.near_copies).pairs
    truth = dict(zip(manifest["id"], manifest["truth"], strict=True))
    assert len(near) < len(manifest) ** 2 / 2 / 10_000
    assert [pair for pair in zip(near["id_a"], near["id_b"], strict=True)
            if truth[pair[0]] != truth[pair[1]]] == []  # fmt: skip


# --- exact copies, groups, clusters --------------------------------------------------------------


def test_near_copies__names_exact_copies_even_when_near_ones_are_not_looked_for(find) -> None:
    flat = np.full((9, 9, 3), 7, np.uint8)
    pictures = {"b": texture(1), "a": texture(1), "c": texture(1), "d": flat, "e": flat}
    exact = {("a", "b"), ("a", "c"), ("d", "e")}
    for enabled in (True, False):
        found = find(pictures, enabled=enabled)
        assert pairs_in(found, "exact") == exact and pairs_in(found) == set()


def test_near_copies__finds_near_copies_of_what_has_exact_ones(find) -> None:
    near = encoded(texture(1), 50)
    found = find({"a": texture(1), "b": texture(1), "c": near, "d": near, "e": texture(2)})
    assert set(clusters_of(Pictures({n: texture(1) for n in "abcde"}).manifest, found).items()) == {
        ("a", "a"), ("b", "a"), ("c", "a"), ("d", "a"), ("e", "e"),
    }  # fmt: skip


def test_near_copies__leaves_out_pairs_of_one_group_only(find) -> None:
    copies = with_copies({"a": texture(1), "b": texture(2)}, lambda p: encoded(p, 50))
    groups = {"a": "g", "a copy": "g", "b": "g", "b copy": "h"}
    assert pairs_in(find(copies, groups)) == {("b", "b copy")}


def test_near_copies__joins_many_copies_of_one_picture(find) -> None:
    many = {f"{n:02d}": encoded(texture(1), 30 + 5 * n) for n in range(12)}
    pictures = {**many, "other": texture(2)}
    clusters = clusters_of(Pictures(pictures).manifest, find(pictures))
    assert {clusters[name] for name in many} == {"00"} and clusters["other"] == "other"


def test_near_copies__joins_more_copies_than_candidates(find) -> None:
    """Those of one cut are nearest to each other and fill all places."""
    cuts = {"whole": texture(1), "part": cropped(texture(1), left=0.1)}
    many = {f"{n:02d} {c}": encoded(p, 60 + n) for n in range(15) for c, p in cuts.items()}
    clusters = clusters_of(Pictures(many).manifest, find(many))
    assert set(clusters.values()) == {"00 part"}


def test_near_copies__does_not_depend_on_the_order_of_rows(find, textures) -> None:
    pictures = with_copies(textures, BOTH["turned and cropped"])
    backwards = dict(reversed(pictures.items()))
    assert pairs_in(find(pictures)) == pairs_in(find(backwards)) == planted(textures)


@pytest.mark.parametrize("count", [1, 2])
def test_near_copies__answers_for_very_few_images(find, count) -> None:
    assert find({f"{n}": texture(n) for n in range(count)}).empty


def test_near_copies__finds_copies_among_tiny_pictures(find) -> None:
    assert find(
        {"one": np.zeros((1, 1, 3), np.uint8), "row": np.zeros((1, 500, 3), np.uint8)}
    ).empty
    small = {
        f"{n}": cv2.resize(texture(n), (24, 20), interpolation=cv2.INTER_AREA) for n in range(8)
    }
    assert pairs_in(find(with_copies(small, TURNED["rot90"]))) == planted(small)


# --- what is known is not asked again ------------------------------------------------------------


def test_near_copies__reads_each_picture_once_and_new_ones_only(find, textures) -> None:
    pictures = Pictures(textures)
    find(pictures)
    assert pictures.reads == len(textures)
    first = find(pictures)
    assert pictures.reads == len(textures) and first.empty
    more = Pictures(with_copies(textures, TURNED["rot90"]))
    assert pairs_in(find(more)) == planted(textures)
    assert more.reads == len(textures)


def test_near_copies__asks_again_when_options_or_groups_change(find) -> None:
    pictures = {"a": texture(1), "b": encoded(texture(1), 50)}
    assert len(find(pictures)) == 1
    assert len(find(pictures, correlation=1.0)) == 0
    assert len(find(pictures, {"a": "g", "b": "g"})) == 0
    assert len(find(pictures)) == 1


def test_fingerprints__are_never_those_of_another_decoding(tmp_path: Path) -> None:
    pictures = Pictures({"a": texture(1), "b": encoded(texture(1), 50)})
    for decoding, reads in ((RULE, 2), (DecodingOptions(channels=1), 4), (RULE, 4)):
        cache = open_fingerprints(tmp_path, decoding)
        find_near_copies(pictures.manifest, pictures, cache, NearCopyOptions())
        assert pictures.reads == reads
