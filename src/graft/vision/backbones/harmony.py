"""Weights, policy, head and data must fit each other before anything is trained."""

from collections.abc import Mapping
from typing import Any

from graft.vision.data.options import DecodingOptions
from graft.vision.errors import HarmonyError


def check_case_harmony(
    backbone_card: Mapping[str, Any],
    policy: Mapping[str, Any],
    class_table: Mapping[str, Any],
    decoding: DecodingOptions,
) -> list[str]:
    """Return what deserves a warning.

    Raises:
        HarmonyError: naming both sides, when channels, size, normalisation or classes differ.
    """
    contract, view = backbone_card["contract"], backbone_card["preprocessing"]
    _equal(
        "channels",
        "the weights' stem",
        contract["channels"],
        "decoded images",
        decoding.channels,
        "set backbone.channels and ingestion.decoding.channels to the same number",
    )
    for name in ("mean", "std"):
        _equal(
            f"normalisation ({name})",
            "the weights",
            list(contract[name]),
            "the view",
            list(view[name]),
            "run the augmentation pipeline again; the view comes from the weights",
        )
    _equal(
        "size in px",
        "the view",
        view["size_px"],
        "the policy",
        policy["size_px"],
        "run the augmentation pipeline again; the policy's size comes from the view",
    )
    _equal(
        "channels",
        "the weights' stem",
        contract["channels"],
        "the policy",
        policy["channels"],
        "run the augmentation pipeline again; the policy's channels come from the view",
    )
    # Objects of one class stand out against all else; images and pixels of one class do not.
    boxes = policy.get("albumentations", {}).get("transform", {}).get("bbox_params")
    if len(class_table["names"]) < (1 if boxes else 2):
        raise HarmonyError(
            f"a head needs {'a class' if boxes else 'two classes or more'}",
            found=f"{class_table['names']} in the training data",
            mend="check ingestion.source and the class folders",
        )
    return [*_size_warnings(contract, view), *_store_warnings(view, decoding)]


def _equal(what: str, left: str, a: object, right: str, b: object, mend: str) -> None:
    if a != b:
        raise HarmonyError(
            f"{what} of {left} and of {right} differ", found=f"{a} and {b}", mend=mend
        )


def _size_warnings(contract: Mapping[str, Any], view: Mapping[str, Any]) -> list[str]:
    ratio = view["size_px"] / contract["size_px"]
    if 0.5 <= ratio <= 2:
        return []
    return [
        f"images of {view['size_px']} px meet weights that were trained at {contract['size_px']} "
        "px: features may be weaker than these weights allow"
    ]


def _store_warnings(view: Mapping[str, Any], decoding: DecodingOptions) -> list[str]:
    needed = view["size_px"] / view["crop_share"] if view["fit"] == "crop" else view["size_px"]
    kept = decoding.short_side_px  # the least that is left of a larger image
    if kept is None or needed <= kept:
        return []
    raise HarmonyError(
        "the view needs more pixels than decoding keeps",
        found=f"a view of {needed:.0f} px and stored images of {kept} px on the shorter side",
        mend=f"set ingestion.decoding.short_side_px to {needed:.0f} or more",
    )
