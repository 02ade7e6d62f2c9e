"""One self-contained page: what was decided, on which grounds, and what to doubt."""

from graft.vision.evaluation.report.material import ReportMaterial
from graft.vision.evaluation.report.page import render_report

__all__ = ["ReportMaterial", "render_report"]
