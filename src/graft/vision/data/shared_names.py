"""Names that given splits share: a drive, a patient or a series that may stand on two sides."""

import re
from collections import Counter
from pathlib import PurePosixPath

import pandas as pd

_MOST_NAMED = 5


def find_shared_names(manifest: pd.DataFrame) -> list[str]:
    """Findings on leading parts of file names common to the images of two given splits.

    Only parts with a digit count, in front of ``_``, ``-``, ``.`` or a blank: ``0016E5_07959.png``
    gives ``0016E5``, while ``IMG_7.jpg`` names a camera and not a series. Images that have a group
    are passed over, for their group is looked at already.
    """
    rows = manifest[(manifest["given_split"] != "") & (manifest["group"] == "")]
    counts: dict[str, Counter[str]] = {}
    for name, split in zip(rows["id"], rows["given_split"], strict=True):
        part = leading_part(name)
        if part:
            counts.setdefault(part, Counter())[split] += 1
    shared = {part: found for part, found in counts.items() if len(found) > 1}
    # Where each name leads with a number of its own, splits that count alike share them all.
    if not shared or max(sum(found.values()) for found in shared.values()) < 3:
        return []
    named = sorted(shared.items(), key=lambda item: (-sum(item[1].values()), item[0]))
    told = [
        f"{part} ({', '.join(f'{split} {count}' for split, count in sorted(found.items()))})"
        for part, found in named[:_MOST_NAMED]
    ]
    more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
    images = sum(sum(found.values()) for found in shared.values())
    return [
        f"{images} images of different given splits share the leading part of their names: "
        f"{', '.join(told)}{more}; if it names a drive, a patient or a series, the given split "
        "leaks: set ingestion.source.group_pattern, and ingestion.split.keep_given to false where "
        "too much would be withheld"
    ]


def leading_part(path: str) -> str:
    """The leading part of a file's name that may name a series; empty where there is none."""
    match = re.match(r"([^_\-. ]+)[_\-. ].", PurePosixPath(path).stem)
    part = match.group(1) if match else ""
    return part if any(c.isdigit() for c in part) else ""
