"""``make bench``: each bench in a process of its own, one table, and ``bench/latest.json``.

    python -m bench                  # all of them
    python -m bench extraction gpu   # some

A bench is a module of this folder with ``measure(say) -> dict[str, Measure]``; a measure is a
mapping of ours, usual, ratio (null where nothing is compared), unit and what. Measures that are not
taken anew keep their place in ``bench/latest.json``, keyed ``BENCH.NAME.ratio`` and so on, or
``BENCH.ratio`` where a bench calls its measure by no name.
"""

import json
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from bench import measure

HERE = Path(__file__).parent
LATEST = HERE / "latest.json"
NAMES = sorted(path.stem for path in HERE.glob("*.py") if not path.stem.startswith("_"))


def main(names: Sequence[str]) -> int:
    """Measure, print, write. Returns 1 where a bench failed, 2 for a name that is none."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        print(f"no bench {', '.join(unknown)}; allowed: {', '.join(NAMES)}", file=sys.stderr)
        return 2
    os.environ["DO_NOT_TRACK"] = "true"
    found, failed = {}, []
    for name in names or NAMES:
        print(f"-- {name}", flush=True)
        try:
            found[name] = _in_child(name)
        except Exception as error:  # one that fails leaves the others their turn
            failed.append(name)
            print(f"{name} failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    _tell(found)
    _write(found)
    return 1 if failed else 0


def _in_child(name: str) -> dict[str, Any]:
    """A process of its own: what is loaded, cached or running for one bench costs no other."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, name).result()


def _tell(found: dict[str, dict[str, Any]]) -> None:
    print(f"\n{'measure':34s}{'ours':>12s}{'usual':>12s}{'ratio':>9s}  unit, what")
    for bench, measures in found.items():
        for name, one in measures.items():
            figures = "".join(
                f"{'-' if one[field] is None else format(one[field], form):>{width}s}"
                for field, width, form in (
                    ("ours", 12, ",.3g"), ("usual", 12, ",.3g"), ("ratio", 9, ".2f"),
                )
            )  # fmt: skip
            print(f"{_key(bench, name):34s}{figures}  {one['unit']}, {one['what']}")


def _write(found: dict[str, dict[str, Any]]) -> None:
    from graft.vision.runtime import machine_record

    latest = json.loads(LATEST.read_text()) if LATEST.exists() else {}
    kept = {key: value for key, value in latest.items() if key.partition(".")[0] not in found}
    for bench, measures in found.items():
        for name, one in measures.items():
            kept |= {f"{_key(bench, name)}.{field}": value for field, value in one.items()}
    kept["machine"] = machine_record()
    LATEST.write_text(json.dumps(kept, indent=2, sort_keys=True) + "\n")
    print(f"\nwritten to {LATEST}")


def _key(bench: str, name: str) -> str:
    return f"{bench}.{name}" if name else bench


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
