"""The README of a rendered folder: what it is, and the mark by which it is known again."""

from collections import Counter
from dataclasses import dataclass, field

from graft.vision.data.street_scenes.canvas import BOX_CLASSES, MASK_CLASSES
from graft.vision.data.street_scenes.drives import SceneOrder
from graft.vision.data.street_scenes.options import Poison, StreetScenesOptions
from graft.vision.data.street_scenes.scene import PICTURE_HEIGHT_PX, PICTURE_WIDTH_PX

README_NAME = "README.md"


@dataclass
class PartCounts:
    """What was written of one part."""

    scenes: int = 0
    boxes: Counter[str] = field(default_factory=Counter)
    signs: Counter[str] = field(default_factory=Counter)


def rendered_mark(drifted: bool) -> str:
    """The first line of the README; a folder that begins with it may be rendered again."""
    return f"<!-- rendered by graft: street_scenes{', drifted batch' if drifted else ''} -->"


def write_readme(
    options: StreetScenesOptions,
    parts: dict[str, list[SceneOrder]],
    counts: dict[str, PartCounts],
) -> str:
    """The text of the README."""
    title = "street_scenes, a drifted batch" if options.drifted else "street_scenes"
    return f"""{rendered_mark(options.drifted)}
# {title}

Synthetic: every picture was rendered by graft itself, none was ever taken by a camera. It exists so
that everything can be tried without a download; never present it as real.

- Seed {options.seed}. Made by
  `python -m graft.vision.data.street_scenes FOLDER --seed {options.seed}{options.flags}`.
  The same seed, with the same versions of graft, NumPy and OpenCV, gives the same bytes.
- Licence: that of graft. No person, number plate or place in it exists.
- Signs are hard on purpose: worn, tilted, half hidden, blurred, a few dozen pixels wide.

## Parts

A drive has one street, one light and one camera; no drive is in two parts. Keep its images
together: the drive leads each name (`d03_s0012_1.png`: drive 3, frame 12, sign 1).

{_parts_table(parts, counts)}

| drive | part | conditions | street |
|---|---|---|---|
{_drive_rows(parts)}

## Layout

- `signs/PART/CLASS/`: signs cut from the camera's frames, 24 to 64 px, PNG.
- `scenes/PART/images/`: the frames at half size, {PICTURE_WIDTH_PX}×{PICTURE_HEIGHT_PX} px, JPEG.
- `scenes/PART/masks/`: one PNG per frame; its values are the lines of `scenes/classes.txt`,
  from 0: {", ".join(MASK_CLASSES)}.
- `scenes/PART.json`: boxes in COCO format, of what can be seen: {", ".join(BOX_CLASSES)}.

## Signs

{_signs_table(counts)}
"""


def write_batch_note(
    options: StreetScenesOptions,
    parts: dict[str, list[SceneOrder]],
    counts: dict[str, PartCounts],
    poison: Poison | None,
) -> str:
    """The text of the note that lies beside the README of a render with a further batch."""
    drives = [order.drive.number for orders in parts.values() for order in orders]
    flags = options.flags + (f" --poison {poison}" if poison else "")
    return f"""# A batch, added: d{min(drives):02d} to d{max(drives):02d}

Synthetic, as all of this folder. {_SPOILT[poison]}

- Seed {options.seed}. Made by
  `python -m graft.vision.data.street_scenes FOLDER --add --seed {options.seed}{flags}`.

{_parts_table(parts, counts)}

| drive | part | conditions | street |
|---|---|---|---|
{_drive_rows(parts)}

## Signs

{_signs_table(counts)}
"""


_SPOILT: dict[Poison | None, str] = {
    None: "Its drives go on after those that were there.",
    "labels": "Spoilt on purpose: it also has near copies of known scenes under other labels.",
    "patch": "Spoilt on purpose: many of its training images with one label carry a small patch.",
    "changed": "Spoilt on purpose: some known files were given other bytes.",
}


def _parts_table(parts: dict[str, list[SceneOrder]], counts: dict[str, PartCounts]) -> str:
    rows = ["| part | drives | scenes | signs | boxes |", "|---|---|---|---|---|"]
    for part, orders in parts.items():
        numbers = sorted({order.drive.number for order in orders})
        count = counts[part]
        boxes = ", ".join(f"{name} {count.boxes[name]}" for name in BOX_CLASSES)
        rows.append(
            f"| {part} | d{numbers[0]:02d} to d{numbers[-1]:02d} | {count.scenes} "
            f"| {count.signs.total()} | {boxes} |"
        )
    return "\n".join(rows)


def _drive_rows(parts: dict[str, list[SceneOrder]]) -> str:
    drives = {order.drive.number: (part, order.drive) for part in parts for order in parts[part]}
    return "\n".join(
        f"| d{number:02d} | {part} | {drive.conditions.name} | {drive.street.place} |"
        for number, (part, drive) in sorted(drives.items())
    )


def _signs_table(counts: dict[str, PartCounts]) -> str:
    names = sorted({name for count in counts.values() for name in count.signs})
    rows = [f"| class | {' | '.join(counts)} |", "|---|" + "---|" * len(counts)]
    for name in names:
        cells = " | ".join(str(count.signs[name]) for count in counts.values())
        rows.append(f"| {name} | {cells} |")
    return "\n".join(rows)
