"""A confusion table as a grid of shades."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import pandas as pd

from graft.vision.evaluation.report.charts import INK, SOFT, clip, open_svg, text
from graft.vision.records import Array

LETTERS, MOST_COUNTED = 24, 9999
"""Letters of a name that are shown; counts beyond this are shown as shares of their row."""
NARROWEST = 17
"""Px of the side of a cell that holds words."""


def confusion_grid(table: pd.DataFrame) -> str:
    """Truth in rows, predictions in columns; shades are shares of the row, blue where right.

    ``n/a`` stands on the diagonal of a class that the truth does not have.
    """
    counts, rows, columns = table.to_numpy(int), list(map(str, table.index)), list(table.columns)
    grid = _Grid.around([*rows, *map(str, columns)], len(rows), bool((counts > MOST_COUNTED).any()))
    width = grid.left + grid.side * (len(columns) + 0.6) + 0.55 * grid.left
    bottom = grid.top + grid.side * len(rows)
    parts = [open_svg(max(width, 330), bottom + 26)]
    for number, other in enumerate(map(str, columns)):
        x = grid.left + (number + 0.5) * grid.side + 3
        parts.append(text(x, grid.top - 6, clip(other, LETTERS), "start", grid.size, turn=-60))
    for row, name in enumerate(rows):
        y = grid.top + (row + 0.5) * grid.side + 3.5
        parts.append(text(grid.left - 5, y, clip(name, LETTERS), "end", grid.size))
        for column, other in enumerate(map(str, columns)):
            right = row == column and name == other
            parts.append(grid.cell(row, column, counts[row], right, f"{name}, said {other}"))
    said = "truth in rows, prediction in columns" + ("; % of the row" if grid.shared else "")
    parts.append(text(4, bottom + 18, said, "start", 11, SOFT))
    return "".join(parts) + "</svg>"


@dataclass(frozen=True)
class _Grid:
    """Where cells lie, in px; ``shared``: shares are written instead of counts."""

    side: int
    size: int
    left: float
    top: float
    shared: bool

    @staticmethod
    def around(names: Sequence[str], rows: int, shared: bool) -> "_Grid":
        side = max(9, min(48, 660 // max(rows, 1)))
        size = 10 if side > 11 else 8
        left = 14 + 0.62 * size * max([1, *(min(LETTERS, len(name)) for name in names)])
        return _Grid(side, size, left, 8 + 0.9 * left, shared)

    def cell(self, row: int, column: int, counts: Array, right: bool, title: str) -> str:
        """One cell of a row of counts; hover tells count and share."""
        count, total = int(counts[column]), int(counts.sum())
        share = count / max(1, total)
        x, y = self.left + column * self.side, self.top + row * self.side
        colour = _shade(share, right=right) if count else "#f4f6f8"
        parts = (
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{self.side - 1}" height="{self.side - 1}" '
            f'fill="{colour}"><title>{escape(title)}: {count} ({share:.0%} of the row)'
            f"</title></rect>"
        )
        absent = right and not total
        if self.side < NARROWEST or not (count or absent):
            return parts
        said = "n/a" if absent else _percent(share) if self.shared else str(count)
        ink = SOFT if absent else "#fff" if share > 0.62 else INK
        at = x + self.side / 2 - 0.5, y + self.side / 2 + 3.5
        return parts + text(*at, said, "middle", self.size, ink)


def _percent(share: float) -> str:
    return "<1" if share < 0.005 else f"{100 * share:.0f}"


def _shade(share: float, *, right: bool) -> str:
    """From white to blue where right, to orange where wrong."""
    end = (11, 110, 153) if right else (194, 87, 26)
    strength = 0.12 + 0.88 * share
    return "#" + "".join(f"{round(255 + (channel - 255) * strength):02x}" for channel in end)
