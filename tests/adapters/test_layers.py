"""What commands read lies where the catalog keeps it."""

from pathlib import Path

import yaml

from graft.adapters import layers

ROOT = Path(__file__).resolve().parents[2]
CASE_AND_TASK = {"${globals:case}": "birds", "{task}": "detection"}


def catalog() -> dict[str, str]:
    """The place of each dataset of the task, by name."""
    found = {}
    for file in sorted((ROOT / "conf/base/catalog").glob("*.yml")):
        for name, entry in yaml.safe_load(file.read_text()).items():
            text = str(entry.get("filepath", entry.get("folder", "")))
            for mark, value in CASE_AND_TASK.items():
                text = text.replace(mark, value)
            found[name.removeprefix("{task}.")] = text
    return found


def test_layers__are_those_of_the_catalog() -> None:
    kept = catalog()
    assert layers.PIXELS.as_posix() == kept["pixel_folder"]
    assert layers.FEATURES.as_posix() == kept["feature_folder"]
    named = {
        "manifest": layers.MANIFEST,
        "split_manifest": layers.SPLIT_MANIFEST,
        "frozen_features": layers.FROZEN_FEATURES,
        "registered_model": layers.REGISTERED,
    }
    for name, layer in named.items():
        assert layers.place(Path(), layer, "birds", "detection").as_posix() == kept[name]
    models = layers.place(Path(), layers.MODELS, "birds", "detection")
    assert models.as_posix() == kept["chosen_model"].rpartition("/")[0]
