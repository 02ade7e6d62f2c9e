"""Where weights come from: a package, timm's hub, or a file; each checked by its full digest."""

import re
from dataclasses import dataclass
from pathlib import Path

from graft.vision.backbones.backbone import config_of, tensor_shapes
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.packaged import PACKAGES, map_by_order
from graft.vision.backbones.weight_files import State, read_weights
from graft.vision.errors import WeightsError
from graft.vision.records import digest_of_file

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Origin:
    """Where weights come from and what is declared of them."""

    name: str
    sha256: str = ""
    licence: str = "none"
    pretrained_on: str = ""


def find_weights(options: BackboneOptions, architecture: str) -> tuple[Origin, State]:
    """The tensors that the options ask for, under the names of their file.

    Raises:
        WeightsError: when they are not to be had, altered, or undeclared.
    """
    if options.weights == "package":
        return _from_package(options, architecture)
    if options.weights == "hub":
        return _from_hub(options, architecture)
    return _from_file(options, Path(options.weights).expanduser())


def _from_package(options: BackboneOptions, architecture: str) -> tuple[Origin, State]:
    if options.name not in PACKAGES:
        raise WeightsError(
            f"no package ships weights for {options.name}",
            allowed=", ".join(PACKAGES),
            mend="set backbone.weights to a file, or to 'hub' where a network is",
        )
    package = PACKAGES[options.name]
    state = read_weights(package.path(), package.sha256)
    origin = Origin(
        package.origin,
        package.sha256,
        options.licence
        or "Apache-2.0 (of the original TensorFlow weights; the package states none)",
        options.pretrained_on or "ImageNet-1k",
    )
    return origin, map_by_order(state, tensor_shapes(architecture), options.name)


def _from_hub(options: BackboneOptions, architecture: str) -> tuple[Origin, State]:
    from huggingface_hub import hf_hub_download

    config = config_of(architecture)
    repository = config.hf_hub_id
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
    state = read_weights(path, options.sha256 or _digest_at_hub(path))
    origin = Origin(
        f"hub {repository}",
        digest_of_file(path),
        options.licence or config.license or UNKNOWN,
        options.pretrained_on or architecture.partition(".")[2] or "as the hub states",
    )
    return origin, state


def _digest_at_hub(path: Path) -> str | None:
    """The hub's cache names a file by the SHA-256 that the hub states of it."""
    name = path.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else None


def _from_file(options: BackboneOptions, path: Path) -> tuple[Origin, State]:
    if not path.is_file():
        raise WeightsError(
            f"no weight file at {path}",
            allowed="'package', 'hub', 'none', or the path of a file",
            mend="correct backbone.weights",
        )
    if options.licence is None:
        raise WeightsError(
            f"the licence of {path} is not declared",
            mend="set backbone.licence (and backbone.pretrained_on) to what its origin states",
        )
    state = read_weights(path, options.sha256)
    origin = Origin(
        f"file {path.name}", digest_of_file(path), options.licence, options.pretrained_on or UNKNOWN
    )
    return origin, state
