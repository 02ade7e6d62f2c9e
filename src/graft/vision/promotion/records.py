"""What a decision is made of: two models as they were judged, and checks that held or did not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from graft.vision.task import ClassTable

MUST_AGREE = ("task", "test_set", "preprocessing", "code")


@dataclass(frozen=True)
class Judged:
    """A model with what it said of the test images.

    Attributes:
        name: as people call it, such as ``street_scenes-detection/2``.
        predictions: columns of the task, with ``id``, ``sha256``, ``unit`` and ``truth``.
        bound: what its scores belong to: ``task`` and the digests ``test_set``,
            ``preprocessing``, ``code``, ``identity``; only the same are compared.
        split_manifest: of the run that trained it; None where that was not recorded.
    """

    name: str
    classes: ClassTable
    predictions: pd.DataFrame
    bound: Mapping[str, str]
    split_manifest: pd.DataFrame | None = None

    @property
    def learned(self) -> set[str]:
        """SHA-256 of the images that it was trained or tuned on."""
        rows = self.split_manifest
        if rows is None:
            return set()
        return set(rows.loc[rows["split"] != "test", "sha256"])


@dataclass(frozen=True)
class Check:
    """A part of the rule, whether it held, and what was found, in a sentence."""

    rule: str
    held: bool
    said: str

    def record(self) -> dict[str, Any]:
        """As JSON has it."""
        return {"rule": self.rule, "held": self.held, "said": self.said}


@dataclass
class Findings:
    """Checks, with the numbers they rest on."""

    checks: list[Check] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)

    @property
    def hold(self) -> bool:
        """Whether every check held."""
        return all(check.held for check in self.checks)
