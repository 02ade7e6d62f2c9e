"""The data as it lies now, read as a run would read it, without leaving a run behind.

What is decoded and extracted on the way goes to the stores by content, where a run finds it again;
no output of the case is touched, so that a batch which is held leaves the champion's as they were.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import describe_backbone
from graft.vision.contenders.ground import Ground, lay_ground
from graft.vision.contenders.probe import extract_frozen_features
from graft.vision.data.manifest import build_manifest
from graft.vision.data.near_copies import find_near_copies, open_fingerprints
from graft.vision.data.options import IngestionOptions
from graft.vision.data.pixels import PixelStore
from graft.vision.data.splits import class_table_of, split_manifest
from graft.vision.features.extraction import FrozenFeatures
from graft.vision.features.options import FeatureExtractionOptions
from graft.vision.preprocessing import Preprocessing
from graft.vision.tasks import choose_task

PIXELS, FINGERPRINTS = (
    Path("data/02_intermediate/pixels"),
    Path("data/02_intermediate/fingerprints"),
)
FEATURES = Path("data/04_feature/store")


@dataclass(frozen=True)
class Seen:
    """The data of a case's task as it lies, and what its contenders would stand on."""

    manifest: pd.DataFrame
    quarantine: pd.DataFrame
    pairs: pd.DataFrame
    split_manifest: pd.DataFrame
    ground: Ground
    features: FrozenFeatures


def look(project: Path, raw: Path, said: Mapping[str, Any], standing: pd.DataFrame | None) -> Seen:
    """Read, split and embed what lies below ``raw``.

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
    ground = _ground(project, said, options, rows)
    extraction = FeatureExtractionOptions.parse(said["feature_extraction"], "feature_extraction")
    table = extract_frozen_features(ground, project / FEATURES, extraction)
    features = FrozenFeatures(table, project / FEATURES)
    return Seen(ingested.manifest, ingested.quarantine, pairs, rows, ground, features)


def _ground(
    project: Path, said: Mapping[str, Any], options: IngestionOptions, rows: pd.DataFrame
) -> Ground:
    backbone = BackboneOptions.parse(said["backbone"], "backbone")
    card = describe_backbone(backbone)
    view = Preprocessing.from_record(card["preprocessing"])
    asked = PolicyOptions.parse(said["augmentation"], "augmentation")
    policy = compose_policy(asked, view, choose_task(said["task"])[0])
    classes = class_table_of(rows, exclusive=not options.source.multi_label)
    return lay_ground(
        said["task"], classes, rows, project / PIXELS, options, backbone, card, policy, said["seed"]
    )
