"""Figures as inline SVG, drawn by hand: small, sharp, and free of scripts."""

from collections.abc import Mapping, Sequence
from html import escape

import pandas as pd

INK, SOFT, GRID = "#1c2733", "#66737f", "#e3e8ec"
COLOURS = ("#0b6e99", "#c2571a", "#4f7a28", "#7a4fa3")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 420, 250, 48, 36, 14, 14


def learning_curves(histories: Mapping[str, pd.DataFrame]) -> str:
    """Training (thin) and validation loss (thick) by epoch, one colour per model."""
    lines = []
    for number, (name, history) in enumerate(histories.items()):
        for column, width, dash in (("train_loss", 1.2, "4 3"), ("val_loss", 2.2, "")):
            points = [
                (float(e) + 1, float(v))
                for e, v in zip(history["epoch"], history[column], strict=True)
                if pd.notna(v)
            ]
            label = f"{name} {'training' if dash else 'validation'}"
            lines.append((label, points, COLOURS[number % len(COLOURS)], width, dash))
    return _chart(lines, "epoch", "loss")


def score_curves(histories: Mapping[str, pd.DataFrame], primary: str) -> str:
    """The primary metric on validation images by epoch."""
    lines = []
    for number, (name, history) in enumerate(histories.items()):
        values = history.get(f"val_{primary}", pd.Series(dtype=float))
        points = [
            (float(e) + 1, float(v))
            for e, v in zip(history["epoch"], values, strict=False)
            if pd.notna(v)
        ]
        lines.append((name, points, COLOURS[number % len(COLOURS)], 2.2, ""))
    return _chart(lines, "epoch", f"validation {primary}", y_range=(0.0, 1.0))


def reliability(bins: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Share right by confidence; the diagonal is perfect calibration."""
    lines = [("perfect", [(0.0, 0.0), (1.0, 1.0)], SOFT, 1.0, "3 3")]
    for number, (name, found) in enumerate(bins.items()):
        points = [(b["confidence"], b["right"]) for b in found]
        lines.append((name, points, COLOURS[number % len(COLOURS)], 2.2, ""))
    return _chart(
        lines, "confidence", "share right", x_range=(0.0, 1.0), y_range=(0.0, 1.0), dots=True
    )


def confusion(table: pd.DataFrame) -> str:
    """Counts as shades; rows are truth, columns predictions; hover tells the count."""
    count = len(table)
    cell = max(9, min(46, 640 // max(count, 1)))
    margin = min(170, 12 + 6 * max(len(str(name)) for name in table.index))
    size = cell * count
    parts = [_open(max(size + margin + 8, 260), size + margin + 24)]
    counts = table.to_numpy(int)
    for row, name in enumerate(table.index):
        y = margin + row * cell
        total = max(1, int(counts[row].sum()))
        parts.append(
            _text(margin - 5, y + cell / 2 + 3.5, str(name), "end", 10 if cell > 11 else 8)
        )
        x = margin + row * cell + cell / 2
        parts.append(
            f'<text x="{x + 3:.1f}" y="{margin - 6}" font-size="{10 if cell > 11 else 8}" '
            f'fill="{INK}" transform="rotate(-60 {x + 3:.1f} {margin - 6})">'
            f"{escape(str(name))}</text>"
        )
        for column, other in enumerate(table.columns):
            value = int(counts[row, column])
            share = value / total
            colour = _shade(share, right=row == column) if value else "#f7f9fa"
            left = margin + column * cell
            parts.append(
                f'<rect x="{left}" y="{y}" width="{cell - 1}" height="{cell - 1}" fill="{colour}">'
                f"<title>{escape(str(name))} taken for {escape(str(other))}: {value}</title></rect>"
            )
            if value and cell >= 17:
                ink = "#fff" if share > 0.5 else INK
                parts.append(
                    _text(left + cell / 2, y + cell / 2 + 3.5, str(value), "middle", 10, ink)
                )
    parts.append(
        _text(
            4,
            size + margin + 18,
            "truth in rows, prediction in columns",
            "start",
            11,
            SOFT,
        )
    )
    return "".join(parts) + "</svg>"


def interval_bars(rows: Sequence[Mapping[str, object]], best: str, chosen: str) -> str:
    """Each contender's score with its interval, on one common axis."""
    found = [r for r in rows if isinstance(r["value"], float) and isinstance(r["low"], float)]
    if not found:
        return ""
    least = max(0.0, min(float(str(r["low"])) for r in found) - 0.03)
    most = min(1.0, max(float(str(r["high"])) for r in found) + 0.03)
    width, line = 640, 40
    parts = [_open(width, line * len(found) + 34)]

    def place(value: float) -> float:
        return 130 + (value - least) / max(most - least, 1e-9) * (width - 200)

    for tick in range(5):
        value = least + (most - least) * tick / 4
        x = place(value)
        bottom = line * len(found) + 6
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{bottom}" stroke="{GRID}"/>')
        parts.append(_text(x, bottom + 16, f"{value:.2f}", "middle", 11, SOFT))
    for number, row in enumerate(found):
        y = line * number + line / 2 + 4
        colour = COLOURS[0] if row["name"] == chosen else SOFT
        low, value, high = (float(str(row[end])) for end in ("low", "value", "high"))
        parts.append(_text(120, y + 4, str(row["name"]), "end", 13))
        parts.append(
            f'<line x1="{place(low):.1f}" x2="{place(high):.1f}" y1="{y}" y2="{y}" '
            f'stroke="{colour}" stroke-width="7" stroke-linecap="round" opacity=".35"/>'
            f'<circle cx="{place(value):.1f}" cy="{y}" r="6" fill="{colour}"/>'
        )
        parts.append(_text(width - 58, y + 4, f"{value:.3f}", "start", 13))
    return "".join(parts) + "</svg>"


Line = tuple[str, list[tuple[float, float]], str, float, str]


def _chart(
    lines: Sequence[Line],
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    *,
    dots: bool = False,
) -> str:
    points = [point for _, found, *_ in lines for point in found]
    if not points:
        return "<p>n/a</p>"
    x_low, x_high = x_range or (min(p[0] for p in points), max(p[0] for p in points))
    y_low, y_high = y_range or (0.0, 1.05 * max(p[1] for p in points))
    x_high, y_high = max(x_high, x_low + 1e-9), max(y_high, y_low + 1e-9)

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            LEFT + (x - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT),
            HEIGHT - BOTTOM - (y - y_low) / (y_high - y_low) * (HEIGHT - BOTTOM - TOP),
        )

    legend = 18 * ((len(lines) + 1) // 2)
    parts = [_open(WIDTH, HEIGHT + legend + 6)]
    for tick in range(5):
        value = y_low + (y_high - y_low) * tick / 4
        _, y = place(x_low, value)
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>'
        )
        parts.append(_text(LEFT - 6, y + 4, f"{value:.2g}", "end", 11, SOFT))
        at = x_low + (x_high - x_low) * tick / 4
        shown = f"{at:.2g}" if x_range else f"{at:.0f}"
        parts.append(_text(place(at, y_low)[0], HEIGHT - BOTTOM + 16, shown, "middle", 11, SOFT))
    for _, found, colour, width, dash in lines:
        placed = [place(*point) for point in found]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" '
            f'stroke-width="{width}"{dashed}/>'
        )
        if dots or len(placed) == 1:
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>' for x, y in placed
            ]
    parts.append(_text((LEFT + WIDTH) / 2, HEIGHT - 6, x_label, "middle", 11, SOFT))
    parts.append(
        f'<text x="12" y="{HEIGHT / 2}" font-size="11" fill="{SOFT}" text-anchor="middle" '
        f'transform="rotate(-90 12 {HEIGHT / 2})">{escape(y_label)}</text>'
    )
    for number, (label, _, colour, width, dash) in enumerate(lines):
        x, y = LEFT + (number % 2) * 186, HEIGHT + 10 + 18 * (number // 2)
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        parts.append(
            f'<line x1="{x}" x2="{x + 20}" y1="{y}" y2="{y}" stroke="{colour}" '
            f'stroke-width="{width}"{dashed}/>'
        )
        parts.append(_text(x + 26, y + 4, label, "start", 11))
    return "".join(parts) + "</svg>"


def _open(width: float, height: float) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" role="img" font-family="inherit">'
    )


def _text(x: float, y: float, text: str, anchor: str, size: int = 12, colour: str = INK) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def _shade(share: float, *, right: bool) -> str:
    """From white to blue where right, to orange where wrong."""
    end = (11, 110, 153) if right else (194, 87, 26)
    strength = 0.12 + 0.88 * share
    return "#" + "".join(f"{round(255 + (channel - 255) * strength):02x}" for channel in end)
