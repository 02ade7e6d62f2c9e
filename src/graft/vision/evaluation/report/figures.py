"""What the report draws as charts: learning, calibration, intervals, and what a task adds."""

from collections.abc import Mapping, Sequence

import pandas as pd

from graft.vision.evaluation.report.charts import (
    COLOURS,
    GRID,
    SOFT,
    UNIT,
    Axes,
    Line,
    clip,
    draw_chart,
    open_svg,
    style_of,
    text,
)
from graft.vision.task import Figure

DIAGONAL = ((0.0, 0.0), (1.0, 1.0))


def learning_curves(histories: Mapping[str, pd.DataFrame]) -> str:
    """Training (dashed) and validation loss by epoch, one colour per model."""
    lines = []
    for number, (name, history) in enumerate(histories.items()):
        for column, word, width, dash in (
            ("train_loss", "training", 1.2, "4 3"),
            ("val_loss", "validation", 2.2, ""),
        ):
            points = _by_epoch(history, column)
            lines.append(Line(f"{name} {word}", points, COLOURS[number], width, dash))
    return draw_chart(lines, Axes("epoch", "loss", whole_x=True))


def score_curves(histories: Mapping[str, pd.DataFrame], primary: str) -> str:
    """The primary metric on validation images by epoch."""
    lines = [
        Line(name, _by_epoch(history, f"val_{primary}"), COLOURS[number])
        for number, (name, history) in enumerate(histories.items())
    ]
    return draw_chart(lines, Axes("epoch", f"validation {primary}", whole_x=True))


def reliability(bins: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Share right by confidence, in dots as large as what they hold; on the diagonal is perfect."""
    lines = [Line("perfect", DIAGONAL, SOFT, 1.0, "3 3")]
    for number, (name, found) in enumerate(bins.items()):
        points = [(b["confidence"], b["right"]) for b in found]
        radii = _radii([b["images"] for b in found])
        lines.append(Line(name, points, COLOURS[number], radii=radii))
    return draw_chart(lines, Axes("confidence", "share right", UNIT, UNIT))


def task_figure(figure: Figure) -> str:
    """A figure of the task's own that is no table."""
    return _lines(figure.table) if figure.kind == "lines" else _dots(figure.table)


def _lines(table: pd.DataFrame) -> str:
    name, x, y = table.columns[:3]
    lines = []
    for number, (one, part) in enumerate(table.groupby(name, sort=False)):
        defined = part.dropna(subset=[x, y])
        colour, dash = style_of(number)
        points = list(zip(defined[x].astype(float), defined[y].astype(float), strict=True))
        lines.append(Line(str(one), points, colour, 1.8, dash))
    return draw_chart(lines, Axes(str(x), str(y), UNIT, UNIT))


def _dots(table: pd.DataFrame) -> str:
    x, y, weight = table.columns[:3]
    points = list(zip(table[x].astype(float), table[y].astype(float), strict=True))
    most = max([1.0, *(value for point in points for value in point)])
    dots = Line(str(weight), points, COLOURS[0], 0, radii=_radii(table[weight].tolist()))
    ends = (0.0, most)
    diagonal = Line("as many", [(0.0, 0.0), (most, most)], SOFT, 1.0, "3 3")
    return draw_chart([diagonal, dots], Axes(str(x), str(y), ends, ends, whole_x=True))


def _radii(weights: Sequence[float]) -> list[float]:
    most = max([1.0, *weights])
    return [2.2 + 6.5 * (weight / most) ** 0.5 for weight in weights]


def _by_epoch(history: pd.DataFrame, column: str) -> list[tuple[float, float]]:
    values = history.get(column, pd.Series(dtype=float))
    return [
        (float(epoch) + 1, float(value))
        for epoch, value in zip(history["epoch"], values, strict=False)
        if pd.notna(value)
    ]


def interval_bars(rows: Sequence[Mapping[str, object]], chosen: str) -> str:
    """Each contender's score with its interval, on one common axis."""
    found = [r for r in rows if isinstance(r["value"], float) and isinstance(r["low"], float)]
    if not found:
        return ""
    least = max(0.0, min(float(str(r["low"])) for r in found) - 0.03)
    most = min(1.0, max(float(str(r["high"])) for r in found) + 0.03)
    width, line = 640, 40
    parts = [open_svg(width, line * len(found) + 34)]

    def place(value: float) -> float:
        return 130 + (value - least) / max(most - least, 1e-9) * (width - 200)

    for tick in range(5):
        value = least + (most - least) * tick / 4
        x = place(value)
        bottom = line * len(found) + 6
        parts.append(f'<path d="M{x:.1f} 4V{bottom}" stroke="{GRID}"/>')
        parts.append(text(x, bottom + 16, f"{value:.2f}", "middle", 11, SOFT))
    for number, row in enumerate(found):
        y = line * number + line / 2 + 4
        colour = COLOURS[0] if row["name"] == chosen else SOFT
        low, value, high = (float(str(row[end])) for end in ("low", "value", "high"))
        parts.append(text(120, y + 4, clip(str(row["name"]), 18), "end", 13))
        parts.append(
            f'<path d="M{place(low):.1f} {y}H{place(high):.1f}" stroke="{colour}" '
            f'stroke-width="7" stroke-linecap="round" opacity=".35"/>'
            f'<circle cx="{place(value):.1f}" cy="{y}" r="6" fill="{colour}"/>'
        )
        parts.append(text(width - 58, y + 4, f"{value:.3f}", "start", 13))
    return "".join(parts) + "</svg>"
