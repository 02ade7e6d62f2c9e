"""A trained model as a folder of safetensors and JSON; nothing in it can run code."""

import json
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from graft.adapters.atomic import atomic_folder, recover
from graft.adapters.datasets.artifact import not_there
from graft.vision.errors import WeightsError
from graft.vision.records import digest_of_file

DIGESTS = "sha256.json"
"""Beside the model: the SHA-256 of each of its files, as they were written."""


class TrainedModelDataset(AbstractDataset[Any, Any]):
    """Loads and saves `graft.vision.model.TrainedModel`, all or nothing."""

    def __init__(self, folder: str, metadata: dict[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.metadata = metadata

    def load(self) -> Any:
        """Rebuild the model from its folder.

        Raises `DataError` when it is not there, and `WeightsError` before any tensor is built when
        a file is not what was written.
        """
        from graft.vision.tasks import load_trained

        recover(self.folder)
        if not self.folder.is_dir():
            raise not_there(self.folder)
        _compare_digests(self.folder)
        return load_trained(self.folder)

    def save(self, data: Any) -> None:
        """Write the folder, or leave the old one as it was."""
        with atomic_folder(self.folder) as part:
            data.save(part)
            (part / DIGESTS).write_text(json.dumps(_digests(part), indent=2) + "\n")

    def _exists(self) -> bool:
        recover(self.folder)
        return (self.folder / DIGESTS).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self.folder)}


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.iterdir() if path.name != DIGESTS)
    return {path.name: digest_of_file(path) for path in files}


def _compare_digests(folder: Path) -> None:
    try:
        written = dict(json.loads((folder / DIGESTS).read_text()))
    except (FileNotFoundError, ValueError):
        written = {}
    found = _digests(folder)
    if found == written:
        return
    names = sorted(name for name in {*written, *found} if written.get(name) != found.get(name))
    raise WeightsError(
        f"{folder} does not hold the model that was saved there",
        found=f"{', '.join(names)} changed, missing or added since",
        mend="run the whole pipeline again: a training that is done is not done again",
    )
