"""What many tests share: where real data may lie, and quiet threads."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parents[1]

# The same examples each time, so that what passed once passes again; make fuzz draws others.
settings.register_profile("same", derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets; skips with a reason where it is absent."""
    folder = Path(os.environ.get("GRAFT_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data not found at {folder}; set GRAFT_REAL_DATA to run this test")
    return folder


@pytest.fixture(autouse=True, scope="module")
def own_environment() -> Iterator[None]:
    """What a module sets in the environment ends with it: MLflow writes its address there."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
