"""A registered version as a parent: its split and its weights, bound to what was registered."""

import io
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from graft.adapters.lineage import DIGEST_TAG, IMAGES, UNKNOWN
from graft.adapters.lineage.reading import read_beside, read_lineage
from graft.vision.errors import DataError, WeightsError
from graft.vision.records import digest_of_file

PARENT, NONE = "parent", "none"
"""The field of a record, and what it reads where there was none."""
SPLIT_ALONE, SPLIT_AND_WEIGHTS = "split", "split and weights"
"""What a parent gave to a version: the weights where it is the fine-tuned contender."""
KEPT, SPLIT = "parent.json", "split_manifest.parquet"
COLUMNS = ["id", "sha256", "split"]


@dataclass(frozen=True)
class RegisteredParent:
    """A registered version as a `graft.vision.contenders.parents.Parent`."""

    version: Any

    @property
    def name(self) -> str:
        """``NAME/VERSION``."""
        return f"{self.version.name}/{self.version.version}"

    @property
    def weights_sha256(self) -> str:
        """Of its weight file, as registered; `model` compares it."""
        return str(self.version.tags.get("weights_sha256", "unknown"))

    @cached_property
    def split_manifest(self) -> Any:
        """COLUMNS of what it knew, then of what those knew whose weights it started from."""
        return _known_to(_line_of(self.version))

    @cached_property
    def model(self) -> Any:
        """The model. Raises `AlteredModelError` before any tensor is built."""
        from graft.adapters.registry import FILES, verified
        from graft.vision.tasks import load_trained

        with verified(self.version) as folder:
            return load_trained(folder / FILES)


@dataclass(frozen=True)
class KeptParent:
    """A parent as `keep_parent` laid it in a folder."""

    folder: Path
    name: str
    weights_sha256: str

    @cached_property
    def split_manifest(self) -> Any:
        """As of the registered one."""
        import pandas as pd

        return pd.read_parquet(self.folder / SPLIT)

    @cached_property
    def model(self) -> Any:
        """The model. Raises `WeightsError` before any tensor is built."""
        from graft.vision.tasks import load_trained

        found = digest_of_file(self.folder / "model.safetensors")
        if found != self.weights_sha256:
            raise WeightsError(f"{self.name} was altered", found=found, allowed=self.weights_sha256)
        return load_trained(self.folder)


def registered_parent(text: str) -> RegisteredParent:
    """The parent that a name means. Raises `RegistryError`."""
    from graft.adapters.registry import resolve

    return RegisteredParent(resolve(text))


def kept_parent(folder: Path, text: str) -> KeptParent | None:
    """The parent of this name that lies in a folder; None where none does."""
    file = folder / KEPT
    said = json.loads(file.read_text()) if file.is_file() else {}
    return KeptParent(folder, **said) if said.get("name") == text else None


def keep_parent(record: Mapping[str, Any], folder: Path) -> None:
    """Lay the parent that a record names into a folder, to be loaded without a registry.

    Raises `AlteredModelError` or `RegistryError` where it is not to be had as it was recorded.
    """
    from graft.adapters.registry import FILES, AlteredModelError, verified

    parent = registered_parent(f"{record['name']}/{record['version']}")
    said = {"name": parent.name, "weights_sha256": record["weights_sha256"]}
    if parent.weights_sha256 != said["weights_sha256"]:
        raise AlteredModelError(
            f"the parent {parent.name} is not the recorded one",
            found=parent.weights_sha256,
            allowed=said["weights_sha256"],
        )
    with verified(parent.version) as registered:
        shutil.copytree(registered / FILES, folder)
    parent.split_manifest.to_parquet(folder / SPLIT, index=False)
    (folder / KEPT).write_text(json.dumps(said, indent=2))


def parent_said(tuned: Mapping[str, Any], card: Mapping[str, Any]) -> Any:
    """What a record says of a parent: ``name``, ``version``, ``weights_sha256`` and what it gave.

    Args:
        tuned: the card of the fine-tuned contender, which starts from the parent wherever a run
            has one.
        card: of the registered model, which may be another contender: its weights are not of the
            parent, and its split is all the same.
    """
    from graft.vision.contenders.parents import OF_THE_PARENT

    said, own = (each.get("facts", {}).get(PARENT) for each in (tuned, card))
    if said is None:
        return NONE
    name, _, version = said["name"].rpartition("/")
    return {
        "name": name,
        "version": version,
        "weights_sha256": said["weights_sha256"],
        "gave": SPLIT_AND_WEIGHTS if own and own["backbone"] == OF_THE_PARENT else SPLIT_ALONE,
    }


def parent_of(record: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a lineage record says of a parent; None where there was none."""
    said = record.get(PARENT, NONE)  # records of earlier versions know of none
    return said if isinstance(said, dict) else None


def known_before(version: Any) -> Any:
    """COLUMNS of what those knew by whose weights a version came to be; None where it has none.

    Raises `DataError` where that is not recorded, and `RegistryError` where one of them is gone.
    """
    _, *earlier = _line_of(version)
    return _known_to(earlier) if earlier else None


def _known_to(versions: Iterable[Any]) -> Any:
    import pandas as pd

    return pd.concat([_split_of(each)[COLUMNS] for each in versions], ignore_index=True)


def _line_of(version: Any) -> Iterator[Any]:
    """A version, and those by whose weights it came to be, from the latest to the first."""
    from graft.adapters.registry import resolve

    yield version
    said = parent_of(read_lineage(version, Path())) if DIGEST_TAG in version.tags else None
    if said and said["gave"] == SPLIT_AND_WEIGHTS:
        yield from _line_of(resolve(f"{said['name']}/{said['version']}"))


def _split_of(version: Any) -> Any:
    """The split of a version's record; of a version without one, as its run logged it."""
    import pandas as pd

    images = read_lineage(version, Path())["images"] if DIGEST_TAG in version.tags else UNKNOWN
    data = None
    if images != UNKNOWN:
        data = read_beside(version, IMAGES, images["table_sha256"], Path())
    table = _logged_split(version) if data is None else pd.read_parquet(io.BytesIO(data))
    if table is None:
        raise DataError(
            f"which images {version.name}/{version.version} learned from is not recorded",
            found="no split, or another than it was registered with",
            mend="bring the artifacts of its run back, or train without a parent",
        )
    return table


def _logged_split(version: Any) -> Any:
    from graft.adapters.promotion.case import Case
    from graft.adapters.promotion.evidence import split_of

    name, _, task = version.name.rpartition("-")
    return split_of(Case(Path(), name, version.name, task, None, Path(), ""), version)
