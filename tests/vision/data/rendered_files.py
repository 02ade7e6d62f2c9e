"""What lies in a rendered folder."""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np


def files_of(root: Path) -> dict[str, bytes]:
    """The content of each file by its path below the folder."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def brightness(files: Iterable[Path]) -> float:
    """Of the average pixel, 0 to 255; images count alike."""
    return float(np.mean([cv2.imread(str(file)).mean() for file in files]))
