"""An exported folder as its documents and its checks read it; nothing outside it is asked."""

import hashlib
import io
import json
from functools import cached_property
from pathlib import Path
from typing import Any

from graft.adapters.export import DECLARED, LEDGER, LINEAGE, LOCK, REGISTERED, VERSION
from graft.adapters.ledger.chain import Entry, read_chain
from graft.adapters.lineage import IMAGES, RECORD, UNKNOWN
from graft.adapters.lineage.registered import MODEL, manifest_of
from graft.adapters.lineage.tables import images_facts
from graft.vision.records import digest_of, digests_below

WEIGHTS = (MODEL / "model.safetensors").as_posix()
CARD = (MODEL / "card.json").as_posix()


def writer() -> str:
    """Digest of the code that writes documents: another one may word them otherwise."""
    return digest_of(digests_below(Path(__file__).parent))


class Exported:
    """The records of an exported folder; what is not there reads None or ``unknown``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def data(self, name: str) -> bytes | None:
        """The bytes of a file of the records."""
        path = self.folder / LINEAGE / name
        return path.read_bytes() if path.is_file() else None

    def sha256(self, name: str) -> str:
        """Of a file of the records."""
        data = self.data(name)
        return UNKNOWN if data is None else hashlib.sha256(data).hexdigest()

    def json(self, name: str) -> Any:
        """What a JSON file of the records says; None where it is not there."""
        data = self.data(name)
        return None if data is None else json.loads(data)

    def table(self, name: str) -> Any:
        """A parquet table of the records; None where it is not there."""
        import pandas as pd

        data = self.data(name)
        return None if data is None else pd.read_parquet(io.BytesIO(data))

    @cached_property
    def record(self) -> dict[str, Any]:
        """The lineage record of the version."""
        return dict(self.json(RECORD))

    @cached_property
    def version(self) -> dict[str, Any]:
        """What the registry said of the version when it was exported."""
        return dict(self.json(VERSION))

    @cached_property
    def declared(self) -> dict[str, str | None]:
        """What people declared of the case."""
        return dict(self.json(DECLARED))

    @cached_property
    def card(self) -> dict[str, Any]:
        """The card of the registered model."""
        return dict(json.loads((self.folder / REGISTERED / CARD).read_text()))

    @cached_property
    def registered(self) -> dict[str, str]:
        """SHA-256 of each registered file that lies here; of weights left out, as recorded."""
        found = manifest_of(self.folder / REGISTERED)
        left_out = {name: self.record["registered"]["files"][name] for name in self.left_out}
        return dict(sorted({**left_out, **found}.items()))

    @property
    def left_out(self) -> list[str]:
        """Registered files that an export without weights does not hold."""
        return list(self.version["left_out"])

    @cached_property
    def images_table(self) -> Any:
        """Every image with its digest, split and truth; None where that was not recorded."""
        return self.table(IMAGES)

    @cached_property
    def images(self) -> dict[str, Any] | None:
        """Counts and digests of the table of images, taken again."""
        return None if self.images_table is None else images_facts(self.images_table)

    @cached_property
    def entries(self) -> list[Entry]:
        """The ledger of the model. Raises `LedgerError` where a line was altered."""
        return read_chain(self.folder / LINEAGE / LEDGER)

    @property
    def lock(self) -> str | None:
        """The packages that were installed, pinned by digest."""
        data = self.data(LOCK)
        return None if data is None else data.decode()

    @property
    def name(self) -> str:
        """``MODEL/VERSION``."""
        return f"{self.version['model']}/{self.version['version']}"

    @property
    def case(self) -> str:
        """The case of the model, which is named ``CASE-TASK``."""
        return str(self.version["model"]).rpartition("-")[0]

    @property
    def task(self) -> str:
        """The task of the model."""
        return str(self.record["model"]["task"])

    @property
    def made(self) -> str:
        """When the export was written, UTC."""
        return str(self.version["exported"]["at"])

    def known(self, path: str) -> Any:
        """A value of the record by its dotted path; ``unknown`` where it was not recorded."""
        value: Any = self.record
        for part in path.split("."):
            value = value.get(part, UNKNOWN) if isinstance(value, dict) else UNKNOWN
        return value
