"""Copies of this project that tests may write into."""

import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def copy_code(target: Path) -> Path:
    """Code and conf, with what Kedro and the record of a run read beside them."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
    for name in ("src", "conf"):
        shutil.copytree(ROOT / name, target / name, ignore=ignored)
    for name in ("pyproject.toml", "requirements.lock", ".telemetry"):
        shutil.copy(ROOT / name, target)
    return target
