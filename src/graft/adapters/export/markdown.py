"""Names of classes, files and people in Markdown: text, whatever they hold."""

from html import escape

from graft.vision.evaluation.report.page import visible


def inert(text: str) -> str:
    """On one line, and without what Markdown would take for HTML or a link."""
    return visible(escape(" ".join(text.split()), quote=False).replace("[", "\\["))


def cell(text: str) -> str:
    """The same for a cell of a table, whose end a name must not make."""
    return inert(text.replace("\\", "\\\\")).replace("|", "\\|")
