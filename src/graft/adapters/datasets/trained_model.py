"""A trained model as a folder of safetensors and JSON; nothing in it can run code."""

from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from graft.adapters.atomic import atomic_folder


class TrainedModelDataset(AbstractDataset[Any, Any]):
    """Loads and saves `graft.vision.model.TrainedModel`, all or nothing."""

    def __init__(self, folder: str, metadata: dict[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self.metadata = metadata

    def load(self) -> Any:
        """Rebuild the model from its folder."""
        from graft.vision.tasks import load_trained

        return load_trained(self.folder)

    def save(self, data: Any) -> None:
        """Write the folder, or leave the old one as it was."""
        with atomic_folder(self.folder) as part:
            data.save(part)

    def _exists(self) -> bool:
        return (self.folder / "card.json").is_file()

    def _describe(self) -> dict[str, Any]:
        return {"folder": str(self.folder)}
