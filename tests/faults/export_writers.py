"""The export of a registered version as one of `writers.py`, which takes a second each time."""

import dataclasses
import json
import os
import sys
from functools import cache
from pathlib import Path

from writers import Writer

TESTS = Path(__file__).resolve().parents[1]
# The lock of MLflow's progress bar is shared with forks: one that is killed would keep it for good.
os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"
sys.path += [str(TESTS / "adapters/export"), str(TESTS / "pipelines")]

from exported_cases import lay_version  # noqa: E402

from graft.adapters.export.declared import DeclaredOptions  # noqa: E402
from graft.adapters.export.gathering import Asked  # noqa: E402
from graft.adapters.export.verifying import verify  # noqa: E402
from graft.adapters.export.writing import export_version  # noqa: E402


@cache
def asked() -> Asked:
    """A version that is registered below the working folder, once."""
    return lay_version("classification", Path("registered").resolve())


def put_export(folder: Path, number: int) -> None:
    declared = DeclaredOptions(intended_purpose=str(number))
    export_version(dataclasses.replace(asked(), declared=declared), folder / "export")


def read_export(folder: Path) -> int:
    export = folder / "export"
    if not export.exists():
        return 0
    report = verify(export)
    assert report["holds"], report["rows"]
    return int(json.loads((export / "lineage/declared.json").read_text())["intended_purpose"])


WRITERS = {"export": Writer(put_export, read_export, (1,), most=4)}
