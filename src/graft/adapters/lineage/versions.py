"""Registered versions, as the commands reach them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from graft.adapters.lineage import DIGEST_TAG
from graft.adapters.registry import CHALLENGER, CHAMPION, resolve, version_at


def open_registry(project: str | Path) -> Path:
    """Connect to the store that conf names, and stand at the project's root, which is returned."""
    from graft.adapters.tracking.connection import TrackingOptions, connect

    root = Path(project)
    os.chdir(root)
    said = yaml.safe_load((root / "conf/base/mlflow.yml").read_text())
    # The registry knows every case; in which experiment runs are kept matters to runs alone.
    options = TrackingOptions.parse({**said, "experiment": "Default"}, "conf/base/mlflow.yml")
    connect(options, root)
    return root


def version_of(text: str) -> Any:
    """The version that NAME, NAME@alias or NAME/version means.

    A name alone means its champion, or its challenger where nothing was promoted yet.
    """
    alone = "@" not in text and "/" not in text
    bare = CHALLENGER if alone and version_at(text, CHAMPION) is None else CHAMPION
    return resolve(text, bare)


def recorded_versions() -> Iterator[Any]:
    """Every version of every model that has a record."""
    import mlflow

    client = mlflow.MlflowClient()
    for model in client.search_registered_models():
        for version in client.search_model_versions(f"name = '{model.name}'"):
            if DIGEST_TAG in version.tags:
                yield version
