"""Each node calls the library; heavy imports wait until the node runs."""

from pathlib import Path
from typing import Any

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.backbones.options import BackboneOptions
from graft.vision.data.options import IngestionOptions

Table = Any


def describe_backbone(backbone: BackboneOptions) -> dict[str, Any]:
    """The weights' contract, checked by digest, and the view they need."""
    from graft.vision.backbones.weights import describe_backbone

    return describe_backbone(backbone)


def compose_policy(
    task: dict[str, Any], backbone_card: dict[str, Any], options: PolicyOptions
) -> dict[str, Any]:
    """The augmentation policy as data."""
    from graft.vision.augmentation.policies import compose_policy
    from graft.vision.preprocessing import Preprocessing
    from graft.vision.tasks import choose_task

    view = Preprocessing.from_record(backbone_card["preprocessing"])
    return compose_policy(options, view, choose_task(task)[0])


def check_harmony(
    backbone_card: dict[str, Any],
    augmentation_policy: dict[str, Any],
    class_table: dict[str, Any],
    ingestion: IngestionOptions,
) -> list[str]:
    """Weights, policy, head and data must fit each other before anything is trained."""
    from graft.vision.backbones.harmony import check_case_harmony

    return check_case_harmony(backbone_card, augmentation_policy, class_table, ingestion.decoding)


def preview_policy(
    task: dict[str, Any],
    augmentation_policy: dict[str, Any],
    split_manifest: Table,
    pixel_folder: Path,
    ingestion: IngestionOptions,
) -> bytes:
    """A sheet of what training sees, as a PNG."""
    from graft.vision.augmentation.preview import preview_policy
    from graft.vision.data.pixels import PixelStore
    from graft.vision.tasks import choose_task

    pixels = PixelStore(pixel_folder, ingestion.decoding)
    return preview_policy(augmentation_policy, choose_task(task)[0], split_manifest, pixels)
