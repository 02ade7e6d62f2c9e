"""What a champion has learned from: its own images, and those of whose weights it started from."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from graft.adapters.promotion.case import Case
from graft.adapters.registry import RegistryError
from graft.adapters.retraining import background
from graft.adapters.retraining.background import Background


def images(**split_of: str) -> pd.DataFrame:
    return pd.DataFrame(
        {"id": name, "sha256": f"sha of {name}", "split": split} for name, split in split_of.items()
    )


@pytest.fixture
def champion(tmp_path: Path) -> Background:
    case = Case(
        tmp_path, "tiny", "tiny-classification", "classification", None, tmp_path, "tiny"
    )  # fmt: skip
    return Background(case, None, images(a="train", b="val", c="test"))


def learned(champion: Background, monkeypatch: pytest.MonkeyPatch, known_before: Any) -> list[str]:
    monkeypatch.setattr(background, "known_before", known_before)
    return list(champion.learned["id"])


def test_learned__is_of_the_parents_too(
    champion: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    parent = images(a="train", gone="train", judged="test")
    assert learned(champion, monkeypatch, lambda version: parent) == ["a", "b", "a", "gone"]


def test_learned__is_its_own_where_no_parent_is_known(
    champion: Background, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(version: Any) -> None:
        raise RegistryError("version 1 is gone")

    assert learned(champion, monkeypatch, lambda version: None) == ["a", "b"]
    del champion.__dict__["learned"]
    assert learned(champion, monkeypatch, lost) == ["a", "b"]
