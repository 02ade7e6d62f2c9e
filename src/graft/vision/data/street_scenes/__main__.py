"""``python -m graft.vision.data.street_scenes FOLDER [--seed N] [--light day] [--add]``."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from graft.vision.data.street_scenes.batch import add_batch
from graft.vision.data.street_scenes.folder import render_folder
from graft.vision.data.street_scenes.options import (
    Light,
    Poison,
    StreetScenesOptions,
    share_drives,
)
from graft.vision.errors import GraftError, OptionsError

BATCH_DRIVES, BATCH_SCENES = 8, 3
"""Of an added batch, where none is told: some eighty signs in 24 scenes."""


def main(arguments: list[str] | None = None) -> int:
    """Render the sample, or add a batch to it; returns the exit status."""
    given = _parser().parse_args(arguments)
    try:
        _render(given, lambda line: print(line, flush=True))
    except GraftError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m graft.vision.data.street_scenes",
        description="Render the embedded sample: synthetic street scenes with their truth.",
    )
    add = parser.add_argument
    add("folder", type=Path, help="new, empty, or an earlier render")
    add("--seed", type=int, default=0, help="other seed, other streets (default 0)")
    add("--light", choices=get_args(Light), default="mixed", help="of the drives (default mixed)")
    add("--drives", type=int, help=f"in train and test (default 28; {BATCH_DRIVES} when added)")
    add("--scenes", type=int, help=f"of each drive (default 8; {BATCH_SCENES} when added)")
    add("--drifted", action="store_true", help="a later batch in a folder of its own")
    add("--add", action="store_true", help="lay a batch of new drives into an earlier render")
    add("--poison", choices=get_args(Poison), help="spoil the batch that is added")
    return parser


def _render(given: argparse.Namespace, say: Callable[[str], None]) -> None:
    stated: dict[str, Any] = {
        "seed": given.seed,
        "light": given.light,
        "drifted": given.drifted,
    }
    usual = (BATCH_DRIVES, BATCH_SCENES) if given.add else (None, None)
    drives = usual[0] if given.drives is None else given.drives
    scenes = usual[1] if given.scenes is None else given.scenes
    if drives is not None:
        stated |= share_drives(drives)
    if scenes is not None:
        stated["scenes_per_drive"] = scenes
    options = StreetScenesOptions.parse(stated, "command line")
    if given.add:
        add_batch(given.folder, options, given.poison, say)
    elif given.poison:
        raise OptionsError("only a batch is spoilt", found="--poison alone", mend="add --add")
    else:
        render_folder(given.folder, options, say)


if __name__ == "__main__":
    sys.exit(main())
