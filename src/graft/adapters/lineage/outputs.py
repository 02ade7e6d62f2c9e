"""What a stage leaves in data/: its digest, and what of it an equal run would leave again."""

import json
from pathlib import Path
from typing import Any

from graft.adapters.lineage.hashing import facts_of_file
from graft.vision.imports import SOURCE, code_digest
from graft.vision.records import digest_of, digests_below
from graft.vision.tasks import TASKS

TIMES = ("minutes", "seconds", "images_per_s")
"""What differs between two equal runs: how long they took."""
CARD, WEIGHTS = "card.json", "model.safetensors"


def digest_of_output(path: Path) -> str | None:
    """SHA-256 over every byte of a file or folder; None where there is none."""
    if path.is_dir():
        return digest_of(digests_below(path))
    facts = facts_of_file(path)
    return facts.sha256 if facts else None


def content_of_output(path: Path) -> str | None:
    """Digest of what an output says, whatever time it took; None where there is none, or where
    nothing but a page for people is.
    """
    if path.suffix == ".html" or not path.exists():
        return None
    if path.is_dir():
        return _content_of_model(path)
    if path.suffix == ".json":
        return digest_of(without_times(json.loads(path.read_text())))
    if path.suffix == ".csv":
        return _content_of_table(path)
    return digest_of_output(path)


def judging_code(task: str) -> str:
    """Digest of the code by which a task's scores are measured, as it stands."""
    return code_digest("graft.vision.contenders.meeting", TASKS[task])


def making_code(task: str) -> str:
    """Digest of all code from which a task's models come, as it stands."""
    nodes = [
        ".".join(file.relative_to(SOURCE).with_suffix("").parts)
        for file in sorted(SOURCE.glob("graft/pipelines/*/nodes.py"))
    ]
    return code_digest(*nodes, TASKS[task])


def without_times(value: Any) -> Any:
    """A record without what an equal run would not repeat."""
    if isinstance(value, dict):
        return {key: without_times(inner) for key, inner in value.items() if key not in TIMES}
    return [without_times(inner) for inner in value] if isinstance(value, list) else value


def _content_of_model(folder: Path) -> str | None:
    """Of weights and card, but for the minutes and facts of how the model came to be."""
    card, weights = folder / CARD, facts_of_file(folder / WEIGHTS)
    if weights is None or not card.is_file():
        return None
    said = {k: v for k, v in json.loads(card.read_text()).items() if k not in ("minutes", "facts")}
    return digest_of([weights.sha256, said])


def _content_of_table(path: Path) -> str:
    import pandas as pd

    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    kept = table[[name for name in table.columns if name not in TIMES]]
    return digest_of([list(kept.columns), kept.to_numpy(object).tolist()])
