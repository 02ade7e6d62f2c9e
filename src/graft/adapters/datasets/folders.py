"""Folders that nodes read from or keep a store in; handed over as a path."""

from pathlib import Path
from typing import Any, NoReturn

from kedro.io import AbstractDataset, DatasetError

from graft.vision.errors import DataError, OptionsError


class RawFolderDataset(AbstractDataset[NoReturn, Path]):
    """The data as received: immutable, versioned by DVC, never written by a run."""

    def __init__(self, folder: str, metadata: dict[str, Any] | None = None) -> None:
        if not isinstance(folder, str):
            raise OptionsError(
                "globals.yml: raw",
                found=repr(folder),
                allowed="the path of the folder of raw data",
                mend="correct it in the case's globals.yml and run again",
            )
        self.folder = Path(folder)
        self.metadata = metadata

    def load(self) -> Path:
        """The folder's path. Raises `DataError` when it is not there."""
        if not self.folder.is_dir():
            raise DataError(
                f"no raw data at {self.folder}",
                found="no such folder" if not self.folder.exists() else "a file",
                allowed="a folder of images",
                mend=f"bring it with `kedro case create {self.folder.name} --data PATH`, "
                "or with `dvc pull` where its version is stored",
            )
        return self.folder

    def save(self, data: NoReturn) -> None:
        """Refuse: raw data is immutable."""
        raise DatasetError(f"raw data at {self.folder} is immutable")

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self.folder)}


class FolderDataset(AbstractDataset[NoReturn, Path]):
    """A folder that a content-addressed store lives in; made when first used."""

    def __init__(self, folder: str, metadata: dict[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.metadata = metadata

    def load(self) -> Path:
        """The folder's path, which exists from then on."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return self.folder

    def save(self, data: NoReturn) -> None:
        """Refuse: the store inside writes for itself."""
        raise DatasetError(f"the store at {self.folder} writes for itself")

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self.folder)}
