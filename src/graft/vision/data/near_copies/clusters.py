"""Which images hang together through pairs."""

from collections.abc import Iterator

import pandas as pd


def clusters_of(manifest: pd.DataFrame, pairs: pd.DataFrame) -> dict[str, str]:
    """Each image's cluster: the least id among all that pairs connect it with."""
    return connect(list(manifest["id"]), zip(pairs["id_a"], pairs["id_b"], strict=True))


def connect(names: list[str], pairs: Iterator[tuple[str, str]]) -> dict[str, str]:
    """Union-find: each name's least connected name."""
    parent = {name: name for name in names}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = parent[parent[name]]
            name = parent[name]
        return name

    for a, b in pairs:
        low, high = sorted((root(a), root(b)))
        parent[high] = low
    return {name: root(name) for name in names}
