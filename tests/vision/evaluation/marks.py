"""The plainest metrics there are: the share of images that are marked right."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from graft.vision.evaluation.verdict import Contender


@dataclass
class Marks:
    """``accuracy`` of 0/1 marks, one per image; ``undefined`` never has a value."""

    right: np.ndarray

    def scores(self, rows: np.ndarray | None = None) -> dict[str, float]:
        chosen = self.right if rows is None else self.right[rows]
        return {"accuracy": float(chosen.mean()), "undefined": float("nan")}

    def per_class(self) -> pd.DataFrame:
        return pd.DataFrame()

    def confusion(self) -> pd.DataFrame:
        return pd.DataFrame()


KINDS = ("probe", "fine_tuned", "scratch")
"""The cheapest first; any other is dearer."""


def contender(name: str, right: np.ndarray, minutes: float, *notes: str) -> Contender:
    """A contender with these marks."""
    cost = KINDS.index(name) if name in KINDS else len(KINDS)
    return Contender(name, Marks(np.asarray(right, float)), minutes, cost, notes)
