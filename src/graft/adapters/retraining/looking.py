"""The data as it lies now, read as a run would read it, without leaving a run behind.

What is decoded and extracted on the way goes to the stores by content, where a run finds it again;
no output of the case is touched, so that a batch which is held leaves the champion's as they were.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from graft.adapters.layers import FINGERPRINTS, PIXELS
from graft.vision.data.manifest import build_manifest
from graft.vision.data.near_copies import find_near_copies, open_fingerprints
from graft.vision.data.options import IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.splits import class_table_of, split_manifest
from graft.vision.store import ArrayStore

if TYPE_CHECKING:
    from graft.vision.contenders.ground import Ground


@dataclass(frozen=True)
class Seen:
    """The data of a case's task as it lies, and what its contenders would stand on.

    Attributes:
        said: the task's parameters, by block.
        fingerprints: thumbnails that near copies are found by.
    """

    project: Path
    said: Mapping[str, Any]
    ingestion: IngestionOptions
    pixels: PixelStore
    fingerprints: ArrayStore
    manifest: pd.DataFrame
    quarantine: pd.DataFrame
    pairs: pd.DataFrame
    split_manifest: pd.DataFrame

    @cached_property
    def ground(self) -> "Ground":
        """Laid when it is asked for: it brings PyTorch, and where nothing is new nobody asks.

        Raises:
            OptionsError: for a backbone, policy or task that conf states wrongly.
        """
        from graft.vision.augmentation.options import PolicyOptions
        from graft.vision.augmentation.policies import compose_policy
        from graft.vision.backbones.options import BackboneOptions
        from graft.vision.backbones.weights import describe_backbone
        from graft.vision.contenders.ground import lay_ground
        from graft.vision.preprocessing import Preprocessing
        from graft.vision.tasks import choose_task

        said, rows = self.said, self.split_manifest
        backbone = BackboneOptions.parse(said["backbone"], "backbone")
        card = describe_backbone(backbone)
        view = Preprocessing.from_record(card["preprocessing"])
        asked = PolicyOptions.parse(said["augmentation"], "augmentation")
        policy = compose_policy(asked, view, choose_task(said["task"])[0])
        classes = class_table_of(rows, exclusive=not self.ingestion.source.multi_label)
        ground = lay_ground(
            said["task"], classes, rows, self.project / PIXELS, self.ingestion, backbone, card,
            policy, said["seed"],
        )  # fmt: skip
        return replace(ground, pixels=self.pixels)  # one store: what is added here is seen there


def look(project: Path, raw: Path, said: Mapping[str, Any], standing: pd.DataFrame | None) -> Seen:
    """Read and split what lies below ``raw``; every byte of it is hashed.

    Args:
        said: the task's parameters, by block.
        standing: the champion's split, which its images keep; None without a champion.

    Raises:
        DataError, OptionsError: as the pipelines do.
    """
    options = IngestionOptions.parse(said["ingestion"], "ingestion")
    pixels = PixelStore(project / PIXELS, options.decoding)
    ingested = build_manifest(raw, pixels, options)
    cache = open_fingerprints(project / FINGERPRINTS, options.decoding)
    pairs = find_near_copies(ingested.manifest, pixels, cache, options.near_copies).pairs
    rows = split_manifest(ingested.manifest, pairs, options.split, standing).split_manifest
    return Seen(
        project, said, options, pixels, cache, ingested.manifest, ingested.quarantine, pairs, rows,
    )  # fmt: skip
