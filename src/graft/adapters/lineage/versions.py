"""Registered versions, as the commands reach them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from graft.adapters.conf import open_conf
from graft.adapters.lineage import DIGEST_TAG
from graft.adapters.registry import CHALLENGER, CHAMPION, resolve, version_at


def open_registry(project: str | Path, text: str = "") -> Path:
    """Connect to the store that conf names, and stand at the project's root, which is returned.

    Args:
        text: the model that is asked for; its case's overlay may name a store of its own.
    """
    from graft.adapters.tracking.connection import TrackingOptions, connect

    root = Path(project)
    os.chdir(root)
    case = re.split("[@/]", text)[0].rpartition("-")[0]
    known = case if case and (root / "conf" / case).is_dir() else None
    # The registry knows every case; in which experiment runs are kept matters to runs alone.
    said = {**open_conf(root / "conf", known)["mlflow"], "experiment": "Default"}
    connect(TrackingOptions.parse(said, "conf mlflow.yml"), root)
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
