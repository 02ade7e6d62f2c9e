"""From options to a backbone whose weights are checked, with the view that they need."""

from typing import Any, cast

import timm
import torch
from timm.models import adapt_input_conv

from graft.vision.backbones.backbone import (
    Backbone,
    config_of,
    new_architecture,
    stages_by_unit,
)
from graft.vision.backbones.contract import WeightsContract
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.origins import Origin, find_weights
from graft.vision.backbones.packaged import PACKAGES
from graft.vision.backbones.weight_files import State, digest_state, read_weights
from graft.vision.errors import HarmonyError, OptionsError, WeightsError, nearest
from graft.vision.preprocessing import Preprocessing

__all__ = [
    "architecture_of",
    "describe_backbone",
    "digest_state",
    "load_backbone",
    "preprocessing_of",
    "read_weights",
]


def load_backbone(options: BackboneOptions, seed: int = 0) -> Backbone:
    """Build the backbone and give it its weights; ``weights: none`` draws them from the seed.

    Raises:
        OptionsError: for a name that timm does not know.
        WeightsError: when the file is missing, altered, undeclared, or does not fit.
    """
    architecture = architecture_of(options)
    torch.manual_seed(seed)
    model = new_architecture(architecture, options.channels)
    origin = Origin("none")
    if options.weights != "none":
        origin, state = find_weights(options, architecture)
        _fit(state, model, architecture, origin, options.channels)
    return Backbone(_contract(options, architecture, model, origin), model)


def describe_backbone(options: BackboneOptions) -> dict[str, Any]:
    """The contract and the view of the backbone, as a record; both are tried on one image.

    Raises:
        HarmonyError: when the model cannot take the view.
    """
    backbone = load_backbone(options)
    view = preprocessing_of(backbone.contract, options)
    _try(backbone, view)
    return {
        "contract": backbone.contract.model_dump(mode="json"),
        "preprocessing": view.model_dump(mode="json"),
    }


def _try(backbone: Backbone, view: Preprocessing) -> None:
    """Some models take one size only, or none below some pixels; they say so when they run."""
    contract, size = backbone.contract, view.size_px
    try:
        with torch.inference_mode():
            found = backbone.eval()(torch.zeros(1, view.channels, size, size))
    except Exception as error:  # each family of models has its own ways to refuse
        raise HarmonyError(
            f"{contract.architecture} cannot take views of {size} px",
            found=f"{type(error).__name__}: {str(error).partition(chr(10))[0][:120]}",
            allowed=f"{contract.size_px} px, the size of its weights",
            mend=f"set backbone.image_size_px to {contract.size_px}, or take another backbone",
        ) from error
    if found.shape != (1, contract.features):
        raise HarmonyError(
            f"{contract.architecture} gives other features than its contract states",
            found=tuple(found.shape),
            allowed=(1, contract.features),
            mend="take another backbone",
        )


def preprocessing_of(contract: WeightsContract, options: BackboneOptions) -> Preprocessing:
    """The view that the contract asks for, as the options vary it."""
    return Preprocessing(
        size_px=options.image_size_px or contract.size_px,
        crop_share=options.crop_share or contract.crop_share,
        fit=options.fit,
        interpolation=contract.interpolation,
        resize=options.resize,
        mean=contract.mean,
        std=contract.std,
        channels=contract.channels,
    )


def architecture_of(options: BackboneOptions) -> str:
    """timm's name for the backbone. Raises `OptionsError` for an unknown one."""
    if options.name in PACKAGES:
        return PACKAGES[options.name].architecture
    base, _, tag = options.name.partition(".")
    if timm.is_model(base) and (not tag or timm.is_model_pretrained(options.name)):
        return options.name
    known = [*PACKAGES, *timm.list_models(), *timm.list_pretrained()]
    raise OptionsError(
        f"backbone.name: timm has no model {options.name!r}{nearest(options.name, known)}",
        allowed=f"{', '.join(PACKAGES)}, or a name from timm.list_models()",
    )


def _fit(
    state: State, model: torch.nn.Module, architecture: str, origin: Origin, channels: int
) -> None:
    """Load what belongs to the backbone; the old classifier is left out."""
    stem = f"{_first_conv(architecture)}.weight"
    if stem in state and state[stem].shape[1] != channels:
        state = {**state, stem: _adapt_stem(state[stem], channels, origin)}
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in state and "num_batches" not in name]
    wrong = [n for n in wanted if n in state and state[n].shape != wanted[n].shape]
    if missing or wrong:
        raise WeightsError(
            f"{origin.name} does not fit {architecture}",
            found=f"{len(missing)} tensors missing (first: {missing[:1]}), "
            f"{len(wrong)} of another shape (first: {wrong[:1]})",
            mend="name the architecture these weights were made for in backbone.name",
        )
    used = {name: state[name] for name in wanted if name in state}
    broken = [name for name, tensor in used.items() if not tensor.isfinite().all()]
    if broken:
        raise WeightsError(
            f"{origin.name} holds values that are not finite",
            found=f"in {len(broken)} tensors (first: {broken[0]})",
            mend="bring a sound file",
        )
    model.load_state_dict(used, strict=False)


def _adapt_stem(stem: torch.Tensor, channels: int, origin: Origin) -> torch.Tensor:
    """A stem that was trained on colours, for other channels. Raises `HarmonyError` for others."""
    if stem.shape[1] != 3:
        raise HarmonyError(
            f"the stem of {origin.name} and backbone.channels differ",
            found=f"{stem.shape[1]} and {channels}",
            allowed=f"{stem.shape[1]}; only a stem of 3 channels is adapted to others",
            mend=f"set backbone.channels and ingestion.decoding.channels to {stem.shape[1]}",
        )
    adapted: torch.Tensor = adapt_input_conv(channels, stem.float())
    return adapted


def _first_conv(architecture: str) -> str:
    first = config_of(architecture).first_conv
    return str(first[0] if isinstance(first, list | tuple) else first)


def _contract(
    options: BackboneOptions, architecture: str, model: torch.nn.Module, origin: Origin
) -> WeightsContract:
    config = config_of(architecture)
    mean, std = (
        _per_channel(config.mean, options.channels),
        _per_channel(config.std, options.channels),
    )
    crop = config.crop_pct or 0.875
    return WeightsContract(
        architecture=architecture,
        origin=origin.name,
        licence=origin.licence,
        pretrained_on=origin.pretrained_on,
        sha256=origin.sha256,
        mean=mean,
        std=std,
        size_px=int(config.input_size[-1]),
        crop_share=float(crop),
        interpolation="bilinear" if config.interpolation == "bilinear" else "bicubic",
        channels=options.channels,
        features=int(getattr(model, "head_hidden_size", None) or cast(Any, model).num_features),
        stages=tuple(dict.fromkeys(stages_by_unit(model).values())),
    )


def _per_channel(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    """Statistics for other than three channels: the mean of the three."""
    plain = tuple(float(value) for value in values)
    return plain if channels == 3 else (sum(plain) / len(plain),) * channels
