"""What the tests of the pure room share: a small case of drawn images, and loaded backbones."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from tiny_ground import lay_tiny_ground

from graft.vision.backbones.backbone import Backbone
from graft.vision.backbones.options import BackboneOptions
from graft.vision.backbones.weights import load_backbone
from graft.vision.contenders.ground import Ground


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Threads that wait for each other cost more than these small models take, most of all on a
    busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    """24 training, 9 validation and 9 test images of three classes, seen at 32 px."""
    return lay_tiny_ground(tmp_path_factory.mktemp("pixels"))


@pytest.fixture(scope="session")
def lite0() -> Backbone:
    """EfficientNet-Lite0 with its packaged weights; not to be changed."""
    return load_backbone(BackboneOptions()).eval()


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that code hidden in a weight file would make."""
    return tmp_path / "code_has_run"


@pytest.fixture
def hostile(marker: Path) -> Callable[[], object]:
    """An object whose unpickling would make the marker."""

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            import os

            return os.system, (f"touch {marker}",)

    return Hostile
