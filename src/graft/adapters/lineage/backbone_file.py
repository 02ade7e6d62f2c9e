"""Where the file of a backbone's weights lies on this machine."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graft.adapters.lineage import UNKNOWN


def backbone_file(
    backbone: Mapping[str, str], configuration: Mapping[str, Any] | str, task: str
) -> Path | None:
    """The weight file that a record's backbone names; None where it is not at hand."""
    origin, _, name = backbone["origin"].partition(" ")
    if origin == "package":
        return _packaged(backbone["sha256"])
    if origin == "hub":
        return _of_hub(name)
    if isinstance(configuration, str):
        return None
    block = configuration["parameters"].get(f"{task}.backbone", {})
    path = Path(str(block.get("weights", UNKNOWN))).expanduser()
    return path if path.is_file() else None


def _packaged(sha256: str) -> Path | None:
    from graft.vision.backbones.packaged import PACKAGES
    from graft.vision.errors import WeightsError

    package = next((each for each in PACKAGES.values() if each.sha256 == sha256), None)
    try:
        return package.path() if package else None
    except WeightsError:
        return None


def _of_hub(repository: str) -> Path | None:
    """From the hub's cache; the network is not asked."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(repository, "model.safetensors")
    return Path(found) if isinstance(found, str) else None
