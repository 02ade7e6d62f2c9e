"""Where what commands read lies: stores by content, outputs of cases as the catalog keeps them."""

import json
from pathlib import Path
from typing import Any

LOCK = "requirements.lock"
"""What is installed, each package by version and digest; beside pyproject.toml."""

DATA = Path("data")
PIXELS = DATA / "02_intermediate/pixels"
MASKS = DATA / "02_intermediate/masks"
FINGERPRINTS = DATA / "02_intermediate/fingerprints"
OUTPUTS = DATA / "02_intermediate/outputs"
FEATURES = DATA / "04_feature/store"
STORES = {
    "pixels": PIXELS,
    "masks": MASKS,
    "fingerprints": FINGERPRINTS,
    "outputs": OUTPUTS,
    "features": FEATURES,
}
"""Each store by content by what it holds."""
JOURNALS = DATA / "09_tracking"
"""What runs have recorded and MLflow has not been told yet, a folder per run."""
EXPORTED = DATA / "10_export"

MANIFEST = "02_intermediate/{case}/{task}/manifest.parquet"
SPLIT_MANIFEST = "03_primary/{case}/{task}/split_manifest.parquet"
FROZEN_FEATURES = "04_feature/{case}/{task}/frozen_features.parquet"
MODELS = "06_models/{case}/{task}"
REPORTING = "08_reporting/{case}/{task}"
REGISTERED = f"{REPORTING}/registered_model.json"
"""What the last registration of a case's task left."""


def packed_folder(raw: Path) -> Path:
    """Where the shards of a raw folder lie: beside it."""
    return raw.with_name(f"{raw.name}.packed")


def place(project: Path, layer: str, case: str, task: str) -> Path:
    """Where an output of a case's task lies."""
    return project / DATA / layer.format(case=case, task=task)


def places(project: Path, layer: str, task: str = "*") -> list[Path]:
    """Where that output lies of each case and task that has it, or of each case with this task."""
    return sorted((project / DATA).glob(layer.format(case="*", task=task)))


def last_registered(project: Path, case: str, task: str) -> dict[str, Any]:
    """What the last registration of a case's task left; empty where there was none."""
    file = place(project, REGISTERED, case, task)
    return dict(json.loads(file.read_text())) if file.is_file() else {}
