"""Digests of many files at once: one pass over the bytes gives SHA-256 and DVC's MD5."""

import hashlib
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

THREADS = 4
"""Reading waits for the disk, and hashing lets go of Python's lock."""
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class FileFacts:
    """What is known of the bytes of one file."""

    bytes: int
    sha256: str
    md5: str = ""


def facts_of_file(path: Path, *, md5: bool = False) -> FileFacts | None:
    """Read a file once; None where there is no such file or it cannot be read."""
    sums: list[Any] = [hashlib.sha256()]
    if md5:
        sums.append(hashlib.md5(usedforsecurity=False))
    count = 0
    try:
        with path.open("rb", buffering=0) as handle:
            while piece := handle.read(PIECE_BYTES):
                count += len(piece)
                for each in sums:
                    each.update(piece)
    except OSError:
        return None
    return FileFacts(count, *(each.hexdigest() for each in sums))


def facts_of_files(
    paths: Mapping[str, Path], *, md5: bool = False, skip: Iterable[str] = ()
) -> dict[str, FileFacts | None]:
    """`facts_of_file` of each, by its name; those of ``skip`` are left out."""
    left_out = set(skip)
    names = [name for name in paths if name not in left_out]
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda name: facts_of_file(paths[name], md5=md5), names)
        return dict(zip(names, found, strict=True))
