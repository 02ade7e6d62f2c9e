"""The page itself: every name is escaped, nothing is loaded from outside, no script runs."""

import base64
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from graft.vision.evaluation.report import figures
from graft.vision.evaluation.report.grids import confusion_grid
from graft.vision.evaluation.report.material import RGB, ReportMaterial

NOT_AVAILABLE = "n/a"
WORDS = {
    "confusion": "How often images of each class (row) were given each class (column): blue is "
    "right, orange is wrong; the darker, the more of its row.",
    "by_class": "",
    "calibration": "Of what the model says with confidence 0.8, 8 of 10 should be right: dots "
    "on the dashed line. Below it the model is too sure, above it too modest. The larger a dot, "
    "the more it stands for.",
    "pictures": "The images that the model does worst, the surest errors first.",
    "attention": "What speaks for the predicted class, by its gradient on the feature maps "
    "(Grad-CAM): from purple (little) to yellow (most). A model that looks at borders, "
    "labels or background has learned the wrong thing.",
}
TURNING = re.compile("[\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Marks of Unicode that turn the order of what follows: ``gnp.exe`` would read ``exe.png``."""
LOWER_IS_BETTER = ("log_loss", "calibration_error")


def render_report(material: ReportMaterial) -> str:
    """One HTML page with inline style, figures and pictures."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    filters: dict[str, Callable[..., Any]] = {
        "number": number,
        "signed": lambda value: number(value, sign=True),
        "cell": lambda value: number(value) if isinstance(value, float) else value,
        "interval": interval,
        "words": lambda name: str(name).replace("_", " "),
        "data_uri": data_uri,
        "colour": colour,
    }
    environment.filters.update(filters)
    template = environment.from_string((Path(__file__).parent / "page.html").read_text())
    # The figures escape what they are given; only they are trusted as markup.
    page = template.render(
        m=material,
        words={**WORDS, **material.words},
        lower=[name for name in LOWER_IS_BETTER if name in material.scores],
        bars=Markup(figures.interval_bars(material.verdict["table"], material.verdict["chosen"])),
        losses=Markup(figures.learning_curves(material.histories)),
        curve=Markup(figures.score_curves(material.histories, material.primary)),
        confusion=Markup(confusion_grid(material.confusion)),
        reliability=Markup(figures.reliability(material.reliability)),
        charts=[(f, Markup(figures.task_figure(f))) for f in material.figures if f.kind != "table"],
        tables=[figure for figure in material.figures if figure.kind == "table"],
    )
    return visible(page)


def visible(text: str) -> str:
    """Text whose order on the screen no name can turn: marks that do so are shown as such."""
    return TURNING.sub(lambda mark: f"\\u{ord(mark[0]):04x}", text)


def number(value: Any, *, sign: bool = False) -> str:
    """Three decimals; ``n/a`` for what is undefined."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return NOT_AVAILABLE
    return f"{value:+.3f}" if sign else f"{value:.3f}"


def interval(found: Any) -> str:
    """From ``low`` to ``high``; one ``n/a`` where both are undefined."""
    ends = [number(found[end]) for end in ("low", "high")]
    return NOT_AVAILABLE if set(ends) == {NOT_AVAILABLE} else " to ".join(ends)


def colour(rgb: RGB) -> str:
    """RGB as style sheets say it."""
    return "#" + "".join(f"{int(channel):02x}" for channel in rgb)


def data_uri(image: bytes) -> str:
    """An encoded picture as a data URI."""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
