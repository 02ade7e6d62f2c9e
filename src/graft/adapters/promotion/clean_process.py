"""Predictions of registered bytes, made where nothing else is loaded, within bounded time."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from graft.vision.errors import GraftError

SCRIPT = Path(__file__).with_name("clean_run.py")
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES")
"""Of the environment, what a program needs and no setting of this project is."""
TOLERANCE = 1e-4
"""Of scores, and in pixels of boxes: another batch may round the last digit another way."""
MOVED_SHARE = 1e-3
"""Of the pixels of a mask, that lie where two classes are as likely and rounding decides."""
MASK = "png"


class UnloadableModelError(GraftError):
    """A registered model does not load or predict in a process of its own."""


def predict_cleanly(
    model: Path, images: Sequence[Path], timeout_s: float, threads: int | None = None
) -> pd.DataFrame:
    """What the registered folder says of these files: the task's columns, one row per file.

    Args:
        model: a folder out of `graft.adapters.registry.verified`.
        threads: of torch, by which its sums are rounded; its own choice when None.

    Raises:
        UnloadableModelError: when it fails, takes longer, or cannot use one of the images.
    """
    with tempfile.TemporaryDirectory(prefix="graft-clean-") as folder:
        request, answer = Path(folder, "request.json"), Path(folder, "answer.parquet")
        paths = [str(path.resolve()) for path in images]
        asked = {"model": str(model.resolve()), "images": paths, "threads": threads}
        request.write_text(json.dumps(asked))
        _run([sys.executable, "-I", str(SCRIPT), str(request), str(answer)], folder, timeout_s)
        table = pd.read_parquet(answer)
    refused = table[table["error"] != ""]
    if len(refused):
        raise UnloadableModelError(
            "the registered model cannot use a test image", found=refused["error"].iloc[0]
        )
    return table.drop(columns="error")


def disagreement(recorded: pd.DataFrame, found: pd.DataFrame) -> str | None:
    """Where two tables of the same rows differ by more than rounding; None where nowhere."""
    for column in found.columns:
        if column not in recorded.columns:
            return f"{column} was not recorded"
        for row, (old, new) in enumerate(zip(recorded[column], found[column], strict=True)):
            if not _close(_read(old), _read(new)):
                return f"{column} of test image {row + 1}: {str(old)[:60]} became {str(new)[:60]}"
    return None


def predictions_digest(table: pd.DataFrame) -> str:
    """SHA-256 over every bit of what was said; equal only for bit-identical predictions."""
    from graft.vision.records import digest_of

    return digest_of(table.sort_index(axis=1).astype(object).to_dict("records"))


def _run(command: list[str], folder: str, timeout_s: float) -> None:
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment |= {
        "DO_NOT_TRACK": "true",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout_s
        )
    except subprocess.TimeoutExpired as error:
        raise UnloadableModelError(
            f"the registered model did not load and predict within {timeout_s:g} s",
            mend="see promotion.check_timeout_s in conf",
        ) from error
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise UnloadableModelError(
            "the registered model does not load and predict in a clean process", found=lines[-1]
        )


def _read(cell: object) -> object:
    """Words as what they mean: JSON where they are that."""
    try:
        return json.loads(cell) if isinstance(cell, str) else cell
    except ValueError:
        return cell


def _close(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            (_close_masks if key == MASK else _close)(one[key], other[key]) for key in one
        )
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_close(a, b) for a, b in pairs)
    if isinstance(one, int | float) and isinstance(other, int | float):
        return abs(one - other) <= TOLERANCE * max(1.0, abs(one))
    return one == other


def _close_masks(one: str, other: str) -> bool:
    from graft.vision.data.masks import decode_mask

    mask, found = decode_mask(one), decode_mask(other)
    return mask.shape == found.shape and float((mask != found).mean()) <= MOVED_SHARE
