"""A batch of new drives, laid into a render that is there: what comes in after a model was trained.

Nothing that was there changes a byte, but the records of boxes, which are gone on with. Drives are
numbered on, so that no name is met twice.
"""

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from graft.vision.data.street_scenes.drives import plan_parts
from graft.vision.data.street_scenes.folder import begins_with, write_part, write_text
from graft.vision.data.street_scenes.options import Poison, StreetScenesOptions
from graft.vision.data.street_scenes.poison import spoil
from graft.vision.data.street_scenes.readme import README_NAME, rendered_mark, write_batch_note
from graft.vision.data.street_scenes.replacing import recover, replaced
from graft.vision.errors import DataError, OptionsError

_DRIVE = re.compile(r"d(\d+)_s\d+")


def add_batch(
    folder: Path,
    options: StreetScenesOptions,
    poison: Poison | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Lay further drives into the parts of a render.

    The folder is built anew beside itself and then moved: when this is stopped, the render is as it
    was, and the same call can be repeated.

    Args:
        folder: a render of the sample.
        options: how many drives, in which light, and from which seed.
        poison: how to spoil the batch: ``labels`` (near copies of known images under another
            label), ``patch`` (a small patch on images of one label) or ``changed`` (known files
            with other bytes).
        say: is given one line per part.

    Raises:
        DataError: when the folder is no render.
        OptionsError: for a drifted batch, which is rendered on its own.
    """
    folder = folder.resolve()
    recover(folder)
    _check(folder, options)
    first = 1 + max(_drives(folder), default=0)
    parts = plan_parts(options, first)
    last = max(order.drive.number for orders in parts.values() for order in orders)
    with replaced(folder) as new:
        # Without modes: what DVC has linked cannot be written to, and boxes are added.
        shutil.copytree(folder, new, copy_function=shutil.copyfile)
        counts = {part: write_part(new, part, orders, say) for part, orders in parts.items()}
        if poison:
            spoilt = spoil(new, poison, options.seed, parts["train"])
            say(f"poison: {poison}, {len(spoilt)} files")
        note = write_batch_note(options, parts, counts, poison)
        write_text(new / f"README_d{first:02d}_to_d{last:02d}.md", note)


def _check(folder: Path, options: StreetScenesOptions) -> None:
    if options.drifted:
        raise OptionsError(
            "a drifted batch cannot be added to a render",
            found="drifted",
            allowed="light: day, night or mixed",
        )
    mark = rendered_mark(drifted=False)
    if not begins_with(folder, mark):
        raise DataError(
            f"no batch is added to {folder}",
            found="a folder that is no render" if folder.is_dir() else "no folder",
            allowed=f"one whose {README_NAME} begins with {mark}",
            mend="render it first, without --add",
        )


def _drives(folder: Path) -> Iterable[int]:
    for file in folder.rglob("d*_s*"):
        if named := _DRIVE.match(file.name):
            yield int(named[1])
