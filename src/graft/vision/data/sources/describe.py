"""What a reader found, in words for whoever makes a case of it."""

from collections import Counter

import pandas as pd

from graft.vision.data.shared_names import find_shared_names, leading_part
from graft.vision.data.sources.reading import SourceReading

SERIES = r"([^/_\-. ]+)[_\-. ][^/]*$"
"""The leading part of a file's name, as a group pattern."""


def describe(reading: SourceReading) -> list[str]:
    """What was found, in words."""
    rows = reading.rows
    splits = Counter(row.given_split or "no split" for row in rows)
    boxes = Counter(box.name for row in rows if row.boxes for box in row.boxes.boxes)
    found = [f"{len(rows)} images, {len(reading.quarantine)} files or rows without use"]
    if boxes:
        counts = ", ".join(f"{name} {count}" for name, count in boxes.most_common(12))
        found.append(f"{boxes.total()} boxes of {len(boxes)} classes: {counts}")
        empty = sum(not row.boxes.boxes for row in rows if row.boxes)
        found += [f"{empty} images without objects"] if empty else []
    if reading.mask_rule is not None:
        names = reading.mask_rule.names
        found.append(f"masks of {len(names)} classes: {', '.join(names[:12])}")
    found.append(
        "given splits: " + ", ".join(f"{name} {count}" for name, count in sorted(splits.items()))
    )
    return found


def doubt(reading: SourceReading) -> list[str]:
    """What should be looked at before the data are used."""
    rows = pd.DataFrame(
        {
            "id": [row.path for row in reading.rows],
            "given_split": [row.given_split for row in reading.rows],
            "group": [row.group for row in reading.rows],
        }
    )
    doubts = [*reading.findings, *find_shared_names(rows)]
    outside = list(rows["id"][rows["given_split"] == ""])
    if 0 < len(outside) < len(rows):
        doubts.append(f"{len(outside)} images lie outside of the splits: {', '.join(outside[:5])}")
    for part in [*reading.quarantine[:5], *reading.left_out[:5]]:
        doubts.append(f"{part['file']} {part['row']}: {part['reason']}")
    return doubts


def propose_series(reading: SourceReading) -> str | None:
    """A group pattern, where names lead with a number or code that several images share."""
    if any(row.given_split or row.group for row in reading.rows):
        return None
    parts = Counter(filter(None, (leading_part(row.path) for row in reading.rows)))
    enough = len(parts) >= 3 and parts.total() == len(reading.rows)
    return SERIES if enough and parts.total() / len(parts) >= 4 else None
