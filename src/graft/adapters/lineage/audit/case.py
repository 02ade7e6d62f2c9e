"""What is audited: a version with its record, and where its files should be."""

import io
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graft.adapters.lineage import FILES, IMAGES, UNKNOWN
from graft.adapters.lineage.audit.rows import MISSING, Fault
from graft.adapters.lineage.hashing import facts_of_file
from graft.adapters.lineage.reading import artifact_of_run, read_beside


@dataclass(frozen=True)
class Audited:
    """A version with its record.

    What was registered last for a case is compared with the project as it stands; of an earlier
    version the project holds nothing any more, and what Git, DVC and MLflow keep is compared.
    """

    project: Path
    version: Any
    record: dict[str, Any]

    @property
    def task(self) -> str:
        """The model's task."""
        return str(self.record["model"]["task"])

    @property
    def raw(self) -> Path:
        """The raw folder of the case."""
        return self.project / str(self.record["data"]["path"])

    @cached_property
    def stands(self) -> bool:
        """Whether this version is what the case's last registration left."""
        written = self.outputs.get("test_metrics", {}).get("path", "")
        file = self.project / Path(written).parent / "registered_model.json"
        try:
            said = json.loads(file.read_text())
        except (OSError, ValueError):
            return True
        return bool(said.get("version") == str(self.version.version))

    @cached_property
    def outputs(self) -> dict[str, dict[str, Any]]:
        """Of all stages: path, digests and run, by dataset."""
        stages = self.record["stages"]
        return {name: kept for stage in stages for name, kept in stage["outputs"].items()}

    def output_bytes(self, name: str) -> bytes | None:
        """An output as it stands in data/, or of an earlier version as its run keeps it."""
        output = self.outputs.get(name)
        if output is None:
            return None
        path = self.project / output["path"]
        if self.stands:
            return path.read_bytes() if path.is_file() else None
        return artifact_of_run(output["run_id"], f"{self.task}/{path.name}")

    def output_fault(self, name: str) -> list[Fault]:
        """A fault where the file of an output is missing or has another digest."""
        output = self.outputs.get(name, {})
        path, expected = str(output.get("path", name)), str(output.get("sha256", UNKNOWN))
        if not self.stands:  # its run keeps no copy of some; those that it keeps are compared
            return []
        facts = facts_of_file(self.project / path)
        found = facts.sha256 if facts else MISSING
        return [] if found == expected else [Fault(path, expected, found)]

    @cached_property
    def images(self) -> Any:
        """The record's table of images; None where no copy has its digest."""
        return self._table(IMAGES, self.record["images"])

    @cached_property
    def files(self) -> Any:
        """The record's table of other files; None where there is none."""
        return self._table(FILES, self.record["annotations"]["files"])

    def _table(self, name: str, facts: Any) -> Any:
        import pandas as pd

        if facts == UNKNOWN:
            return None
        data = read_beside(self.version, name, facts["table_sha256"], self.project)
        return None if data is None else pd.read_parquet(io.BytesIO(data))
