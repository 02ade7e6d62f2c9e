"""From options to a backbone: weights found, checked by their full digest, and never executed."""

import hashlib
from pathlib import Path
from typing import Any, cast

import timm
import torch
from safetensors.torch import load_file
from timm.models import adapt_input_conv

from graft.vision.backbones.backbone import Backbone, new_architecture, stages_by_unit
from graft.vision.backbones.contract import WeightsContract
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.packaged import PACKAGES, map_by_order
from graft.vision.errors import OptionsError, WeightsError, nearest
from graft.vision.preprocessing import Preprocessing
from graft.vision.records import digest_of_file

State = dict[str, torch.Tensor]
UNKNOWN = "unknown"


def load_backbone(options: BackboneOptions, seed: int = 0) -> Backbone:
    """Build the backbone and give it its weights; ``weights: none`` draws them from the seed.

    Raises:
        OptionsError: for a name that timm does not know.
        WeightsError: when the file is missing, altered, undeclared, or does not fit.
    """
    architecture = architecture_of(options)
    torch.manual_seed(seed)
    model = new_architecture(architecture, options.channels)
    if options.weights == "none":
        return Backbone(
            _contract(options, architecture, model, _Source("none", "", "none", "")), model
        )
    source, state = _find(options, architecture)
    _fit(state, model, architecture, source.origin, options.channels)
    return Backbone(_contract(options, architecture, model, source), model)


def describe_backbone(options: BackboneOptions) -> dict[str, Any]:
    """The contract and the view of the backbone, as a record; its weights are checked."""
    contract = load_backbone(options).contract
    return {
        "contract": contract.model_dump(mode="json"),
        "preprocessing": preprocessing_of(contract, options).model_dump(mode="json"),
    }


def preprocessing_of(contract: WeightsContract, options: BackboneOptions) -> Preprocessing:
    """The view that the contract asks for, as the options vary it."""
    return Preprocessing(
        size_px=options.image_size_px or contract.size_px,
        crop_share=options.crop_share or contract.crop_share,
        fit=options.fit,
        interpolation=contract.interpolation,
        mean=contract.mean,
        std=contract.std,
        channels=contract.channels,
    )


def architecture_of(options: BackboneOptions) -> str:
    """timm's name for the backbone. Raises `OptionsError` for an unknown one."""
    if options.name in PACKAGES:
        return PACKAGES[options.name].architecture
    if timm.is_model(options.name):
        return options.name
    known = [*PACKAGES, *timm.list_models()]
    raise OptionsError(
        f"backbone.name: timm has no model {options.name!r}{nearest(options.name, known)}",
        allowed=f"{', '.join(PACKAGES)}, or a name from timm.list_models()",
    )


class _Source:
    """Where weights come from and what is declared of them."""

    def __init__(self, origin: str, sha256: str, licence: str, pretrained_on: str) -> None:
        self.origin, self.sha256 = origin, sha256
        self.licence, self.pretrained_on = licence, pretrained_on


def _find(options: BackboneOptions, architecture: str) -> tuple[_Source, State]:
    if options.weights == "package":
        return _from_package(options, architecture)
    if options.weights == "hub":
        return _from_hub(options, architecture)
    return _from_file(options, Path(options.weights))


def _from_package(options: BackboneOptions, architecture: str) -> tuple[_Source, State]:
    if options.name not in PACKAGES:
        raise WeightsError(
            f"no package ships weights for {options.name}",
            allowed=", ".join(PACKAGES),
            mend="set backbone.weights to a file, or to 'hub' where a network is",
        )
    package = PACKAGES[options.name]
    state = read_weights(package.path(), package.sha256)
    full = timm.create_model(architecture, pretrained=False)
    source = _Source(
        package.origin,
        package.sha256,
        options.licence
        or "Apache-2.0 (of the original TensorFlow weights; the package states none)",
        options.pretrained_on or "ImageNet-1k",
    )
    return source, map_by_order(state, full, options.name)


def _from_hub(options: BackboneOptions, architecture: str) -> tuple[_Source, State]:
    from huggingface_hub import hf_hub_download

    config = _config(architecture)
    repository = config.hf_hub_id if config else None
    if not repository:
        raise WeightsError(f"timm's hub has no weights for {architecture}")
    try:
        path = Path(hf_hub_download(repository, "model.safetensors"))
    except Exception as error:  # the client raises many kinds, all of which mean: not to be had
        raise WeightsError(
            f"weights of {architecture} could not be had from timm's hub",
            found=type(error).__name__,
            mend="run with HF_HUB_OFFLINE=0 where a network is, or set backbone.weights to a file",
        ) from error
    source = _Source(
        f"hub {repository}",
        digest_of_file(path),
        options.licence or config.license or UNKNOWN,
        options.pretrained_on or architecture.partition(".")[2] or "as the hub states",
    )
    return source, read_weights(path, options.sha256)


def _from_file(options: BackboneOptions, path: Path) -> tuple[_Source, State]:
    if options.licence is None:
        raise WeightsError(
            f"the licence of {path} is not declared",
            mend="set backbone.licence (and backbone.pretrained_on) to what its origin states",
        )
    state = read_weights(path, options.sha256)
    source = _Source(
        f"file {path.name}",
        digest_of_file(path),
        options.licence,
        options.pretrained_on or UNKNOWN,
    )
    return source, state


def read_weights(path: Path, sha256: str | None) -> State:
    """Read tensors from a safetensors file or a plain state dict; nothing in it can run.

    Raises:
        WeightsError: when the file is missing, has another digest, or holds more than tensors.
    """
    if not path.is_file():
        raise WeightsError(f"no weight file at {path}", mend="correct backbone.weights")
    found = digest_of_file(path)
    if sha256 is not None and found != sha256:
        raise WeightsError(
            f"{path} is not the weight file it should be",
            found=f"SHA-256 {found}",
            allowed=f"SHA-256 {sha256}",
            mend="bring the right file back, or declare the new digest in backbone.sha256",
        )
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).partition("\n")[0][:120]
        raise WeightsError(
            f"{path} cannot be read as tensors and nothing else",
            found=f"{type(error).__name__}: {reason}",
            allowed="safetensors, or a state dict that loads with weights_only",
            mend="convert it to safetensors where it was made",
        ) from error
    return _plain_state(state, path)


def _plain_state(state: Any, path: Path) -> State:
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise WeightsError(f"{path} holds no state dict", found=type(state).__name__)
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _fit(
    state: State, model: torch.nn.Module, architecture: str, origin: str, channels: int
) -> None:
    """Load what belongs to the backbone; the old classifier is left out."""
    stem = f"{_first_conv(architecture)}.weight"
    if channels != 3 and stem in state:
        state = {**state, stem: adapt_input_conv(channels, state[stem].float())}
    wanted = model.state_dict()
    missing = [name for name in wanted if name not in state and "num_batches" not in name]
    wrong = [n for n in wanted if n in state and state[n].shape != wanted[n].shape]
    if missing or wrong:
        raise WeightsError(
            f"{origin} does not fit {architecture}",
            found=f"{len(missing)} tensors missing (first: {missing[:1]}), "
            f"{len(wrong)} of another shape (first: {wrong[:1]})",
            mend="name the architecture these weights were made for in backbone.name",
        )
    model.load_state_dict({name: state[name] for name in wanted if name in state}, strict=False)


def _first_conv(architecture: str) -> str:
    config = _config(architecture)
    first = config.first_conv if config else None
    return str(first[0] if isinstance(first, list | tuple) else first)


def _config(architecture: str) -> Any:
    """What timm knows of these weights."""
    return timm.get_pretrained_cfg(architecture)


def _contract(
    options: BackboneOptions, architecture: str, model: torch.nn.Module, source: _Source
) -> WeightsContract:
    config = _config(architecture)
    mean, std = (
        _per_channel(config.mean, options.channels),
        _per_channel(config.std, options.channels),
    )
    crop = config.crop_pct or 0.875
    return WeightsContract(
        architecture=architecture,
        origin=source.origin,
        licence=source.licence,
        pretrained_on=source.pretrained_on,
        sha256=source.sha256,
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


def digest_state(state: State) -> str:
    """SHA-256 over names, shapes and bytes of tensors, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
