"""``python -m graft.vision.data.street_scenes FOLDER [--seed N] [--drifted]``."""

import argparse
import sys
from pathlib import Path

from graft.vision.data.street_scenes.folder import render_folder
from graft.vision.data.street_scenes.options import StreetScenesOptions
from graft.vision.errors import GraftError


def main(arguments: list[str] | None = None) -> int:
    """Render the sample; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m graft.vision.data.street_scenes",
        description="Render the embedded sample: synthetic street scenes with their truth.",
    )
    parser.add_argument("folder", type=Path, help="new, empty, or an earlier render")
    parser.add_argument("--seed", type=int, default=0, help="other seed, other streets (default 0)")
    parser.add_argument("--drifted", action="store_true", help="a later batch, for retraining")
    given = parser.parse_args(arguments)
    try:
        options = StreetScenesOptions.parse(
            {"seed": given.seed, "drifted": given.drifted}, "command line"
        )
        render_folder(given.folder, options, say=lambda line: print(line, flush=True))
    except GraftError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
