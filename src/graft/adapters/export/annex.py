"""The technical documentation of Annex IV as JSON and as text; no field is ever blank."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from graft.adapters.export.annex_points import POINTS
from graft.adapters.export.facts import STATUSES
from graft.adapters.export.markdown import cell
from graft.adapters.export.reading import Exported
from graft.adapters.export.scores import Measured
from graft.adapters.lineage import UNKNOWN

REGULATION = "Regulation (EU) 2024/1689, Annex IV"
NOTE = (
    "A skeleton of the technical documentation. measured: taken from this folder, and taken again "
    "by `kedro model verify`; declared: stated by a person in conf; unknown: neither."
)


class Form(BaseModel):
    """Base: only what is named here."""

    model_config = ConfigDict(extra="forbid")


class AnnexField(Form):
    """One answer."""

    asks: str
    value: Any
    status: Literal["measured", "declared", "unknown"]
    source: str

    @model_validator(mode="after")
    def _never_blank(self) -> "AnnexField":
        if self.value is None or self.value in ("", [], {}):
            raise ValueError("a field is never blank; what is not known reads unknown")
        if (self.status == UNKNOWN) != (self.value == UNKNOWN):
            raise ValueError("status and value unknown go together")
        return self


class AnnexPoint(Form):
    """One of the nine points."""

    title: str
    fields: dict[str, AnnexField]


class AnnexForm(Form):
    """The whole documentation."""

    regulation: str
    note: str
    model: str
    points: dict[str, AnnexPoint]


def annex_of(exported: Exported, measured: Measured) -> dict[str, Any]:
    """The whole documentation as a mapping."""
    return {
        "regulation": REGULATION,
        "note": NOTE,
        "model": exported.name,
        "points": {
            number: {
                "title": title,
                "fields": {
                    f"{number}{asked.name}" if asked.name[1] == "_" else f"{number}_{asked.name}": {
                        "asks": asked.words,
                        **asked.find(exported, measured).record(),
                    }
                    for asked in fields
                },
            }
            for number, (title, fields) in POINTS.items()
        },
    }


def annex_text(annex: dict[str, Any]) -> str:
    """The same for people."""
    counts = dict.fromkeys(STATUSES, 0)
    lines = [
        f"# Technical documentation of {annex['model']}",
        "",
        annex["regulation"] + ". " + NOTE,
    ]
    for number, point in annex["points"].items():
        lines += ["", f"## {number}. {point['title']}", ""]
        lines += ["| | value | status | source |", "|---|---|---|---|"]
        for name, field in point["fields"].items():
            counts[field["status"]] += 1
            cells = [f"{name.partition('_')[0]} {field['asks']}", _cell(field["value"])]
            lines.append(f"| {' | '.join([*cells, field['status'], _cell(field['source'])])} |")
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    return "\n".join([*lines, "", f"{said}.", ""])


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        text = "; ".join(f"{name}: {_inner(inner)}" for name, inner in value.items())
    elif isinstance(value, list):
        text = "; ".join(map(_inner, value))
    else:
        text = _inner(value)
    return cell(text)


def _inner(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return "(" + ", ".join(f"{name} {_inner(inner)}" for name, inner in value.items()) + ")"
    if isinstance(value, list):
        return ", ".join(map(_inner, value)) or "none"
    return "none" if value is None else str(value)
