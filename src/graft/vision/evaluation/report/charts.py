"""Charts as inline SVG, drawn by hand: small, sharp, and free of scripts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

INK, SOFT, GRID = "#1c2733", "#66737f", "#e3e8ec"
COLOURS = (
    *("#0b6e99", "#c2571a", "#4f7a28", "#7a4fa3", "#b0265c", "#14a08c", "#9a7b0a", "#3c50c8"),
    *("#6b4a2f", "#57606a"),
)
DASHES = ("", "7 3", "2 3", "9 3 2 3")
WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 440, 250, 52, 40, 14, 16
UNIT = (0.0, 1.0)
Point = tuple[float, float]
Range = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """Points joined by a line; ``radii`` of their dots in px, where there are dots."""

    name: str
    points: Sequence[Point]
    colour: str
    width: float = 2.2
    dash: str = ""
    radii: Sequence[float] = field(default=())


@dataclass(frozen=True)
class Axes:
    """What the axes are called, and where they begin and end; None: where the points do."""

    x: str
    y: str
    x_range: Range | None = None
    y_range: Range | None = None
    whole_x: bool = False
    """Whether x counts something, and has no ticks between whole numbers."""


def style_of(number: int) -> tuple[str, str]:
    """Colour and dash of a line: the colours come again, dashed."""
    turn, place = divmod(number, len(COLOURS))
    return COLOURS[place], DASHES[turn % len(DASHES)]


def draw_chart(lines: Sequence[Line], axes: Axes) -> str:
    """Lines on axes with a legend below; one that has no points is named there as ``n/a``."""
    points = [point for line in lines for point in line.points]
    if not points:
        return f'<p class="soft">{escape(axes.y)}: n/a</p>'
    x_range = axes.x_range or _range([x for x, _ in points], whole=axes.whole_x)
    y_range = axes.y_range or _range([0.0, *(y for _, y in points)])

    def place(x: float, y: float) -> Point:
        return (
            LEFT + (x - x_range[0]) / (x_range[1] - x_range[0]) * (WIDTH - LEFT - RIGHT),
            HEIGHT
            - BOTTOM
            - (y - y_range[0]) / (y_range[1] - y_range[0]) * (HEIGHT - BOTTOM - TOP),
        )

    parts = []
    for value in _ticks(*y_range):
        (x, y), (end, _) = place(x_range[0], value), place(x_range[1], value)
        parts.append(f'<path d="M{x:.1f} {y:.1f}H{end:.1f}" stroke="{GRID}"/>')
        parts.append(text(LEFT - 6, y + 4, f"{value:g}", "end", 11, SOFT))
    for value in _ticks(*x_range, whole=axes.whole_x):
        x = place(value, y_range[0])[0]
        parts.append(text(x, HEIGHT - BOTTOM + 15, f"{value:g}", "middle", 11, SOFT))
    parts += [_drawn(line, [place(*point) for point in line.points]) for line in lines]
    parts.append(text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 7, axes.x, "middle", 11, SOFT))
    middle = (HEIGHT - BOTTOM + TOP) / 2
    parts.append(text(12, middle, axes.y, "middle", 11, SOFT, turn=-90))
    legend, bottom = _legend(lines)
    return open_svg(WIDTH, bottom) + "".join(parts) + legend + "</svg>"


def _drawn(line: Line, placed: Sequence[Point]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
    radii = line.radii or ((3.2,) if len(placed) == 1 else ())
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="{line.colour}" '
        f'fill-opacity=".75"/>'
        for (x, y), radius in zip(placed, radii, strict=False)
    )
    return (
        f"<g><title>{escape(line.name)}</title>"
        f'<polyline points="{path}" fill="none" {_stroke(line)}/>{dots}</g>'
    )


def _stroke(line: Line) -> str:
    dashed = f' stroke-dasharray="{line.dash}"' if line.dash else ""
    return f'stroke="{line.colour}" stroke-width="{line.width}"{dashed}'


def _legend(lines: Sequence[Line]) -> tuple[str, float]:
    """Two columns, or one for long names; and where it ends."""
    columns = 2 if max(len(line.name) for line in lines) <= 24 else 1
    parts, y = [], HEIGHT + 10.0
    for number, line in enumerate(lines):
        x = LEFT + (number % columns) * 192
        y = HEIGHT + 10.0 + 18 * (number // columns)
        if line.points:
            parts.append(f'<path d="M{x} {y}h22" {_stroke(line) if line.width else ""}/>')
            if line.radii:
                parts.append(f'<circle cx="{x + 11}" cy="{y}" r="3.2" fill="{line.colour}"/>')
        name = line.name if line.points else f"{line.name}: n/a"
        parts.append(text(x + 28, y + 4, clip(name, 56 // columns), "start", 11))
    return "".join(parts), y + 10


def _range(values: Sequence[float], *, whole: bool = False) -> Range:
    """From the least to the greatest value, or the tick beyond it."""
    low, high = min(values), max(values)
    if high <= low:
        return low, low + 1
    return (low, high) if whole else (low, _ticks(low, high, beyond=True)[-1])


def _ticks(low: float, high: float, *, whole: bool = False, beyond: bool = False) -> list[float]:
    """At most six round values in a range; with ``beyond`` the last is not below its end."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    step = max(1.0, math.ceil(step)) if whole else step
    first = math.ceil(low / step - 1e-9)
    last = math.ceil(high / step - 1e-9) if beyond else math.floor(high / step + 1e-9)
    return [round(i * step, 10) for i in range(first, last + 1)]


def open_svg(width: float, height: float) -> str:
    """An SVG that shrinks with the window and never grows."""
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" role="img" font-family="inherit">'
    )


def text(
    x: float,
    y: float,
    words: str,
    anchor: str,
    size: int = 12,
    colour: str = INK,
    *,
    turn: float = 0,
) -> str:
    """Words at a place, turned around it by degrees."""
    turned = f' transform="rotate({turn:g} {x:.1f} {y:.1f})"' if turn else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" fill="{colour}" '
        f'text-anchor="{anchor}"{turned}>{escape(words)}</text>'
    )


def clip(words: str, letters: int) -> str:
    """The words, with their end left out where they are longer."""
    return words if len(words) <= letters else words[: letters - 1] + "\N{HORIZONTAL ELLIPSIS}"
