"""What features cost as both ways run when nobody says how: on every core, with the threads that
their libraries take. `extraction` compares them on one core, where no thread waits for another.

    python -m bench all_cores
"""

import tempfile
from pathlib import Path

from bench import Measure, Say, row
from bench.extraction import compare


def measure(say: Say) -> dict[str, Measure]:
    """CPU time of each way, from files to features."""
    with tempfile.TemporaryDirectory(prefix="graft-all-cores-") as name:
        costs = compare(Path(name), say).costs
    what = "features from files, end to end, on all cores"
    return {"": row(costs.ms("ours"), costs.ms("usual"), "CPU ms/image", what)}
