"""The page itself: every name is escaped, nothing is loaded from outside, no script runs."""

import base64
import math
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from graft.vision.evaluation.report import figures
from graft.vision.evaluation.report.material import ReportMaterial

NOT_AVAILABLE = "n/a"


def render_report(material: ReportMaterial) -> str:
    """One HTML page with inline style, figures and pictures."""
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters |= {
        "number": number,
        "signed": lambda value: number(value, sign=True),
        "cell": lambda value: number(value) if isinstance(value, float) else value,
        "words": lambda name: str(name).replace("_", " "),
        "data_uri": data_uri,
    }
    template = environment.from_string((Path(__file__).parent / "page.html").read_text())
    verdict = material.verdict
    # The figures escape what they are given; only they are trusted as markup.
    return template.render(
        m=material,
        bars=Markup(figures.interval_bars(verdict["table"], verdict["best"], verdict["chosen"])),
        losses=Markup(figures.learning_curves(material.histories)),
        curve=Markup(figures.score_curves(material.histories, material.primary)),
        confusion=Markup(figures.confusion(material.confusion)),
        reliability=Markup(figures.reliability(material.reliability)),
    )


def number(value: Any, *, sign: bool = False) -> str:
    """Three decimals; ``n/a`` for what is undefined."""
    if not isinstance(value, int | float) or not math.isfinite(value):
        return NOT_AVAILABLE
    return f"{value:+.3f}" if sign else f"{value:.3f}"


def data_uri(image: bytes) -> str:
    """An encoded picture as a data URI."""
    kind = "png" if image.startswith(b"\x89PNG") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(image).decode()}"
