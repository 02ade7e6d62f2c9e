"""What a run says while it works and when it is done."""

import json
import logging
import time
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl

from graft.adapters.layers import REPORTING, place

log = logging.getLogger("graft")


class ConsoleHook:
    """One line per node with its time; the table of results at the end."""

    def __init__(self) -> None:
        self._started: dict[str, float] = {}
        self._begin = 0.0
        self._count = 0
        self._done = 0

    @hook_impl
    def after_context_created(self, context: Any) -> None:
        """Know the case, to say where its results lie."""
        self._case = context.config_loader["globals"].get("case", "unnamed")

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Any) -> None:
        """Say what begins."""
        self._begin, self._count, self._done = time.perf_counter(), len(pipeline.nodes), 0
        log.info("case %s: %d steps", self._case, self._count)

    @hook_impl
    def before_node_run(self, node: Any) -> None:
        """Start the node's clock, and say what works now."""
        self._started[node.name] = time.perf_counter()
        log.info("[%2d/%d] %s ...", self._done + 1, self._count, node.name)

    @hook_impl
    def after_node_run(self, node: Any) -> None:
        """Say how long the node took."""
        self._done += 1
        seconds = time.perf_counter() - self._started.pop(node.name, self._begin)
        log.info("[%2d/%d] %s %.1f s", self._done, self._count, node.name, seconds)

    @hook_impl
    def after_pipeline_run(self, pipeline: Any, run_params: dict[str, Any]) -> None:
        """Show the table of results of each task that was evaluated, and where to look next."""
        log.info("done in %.0f s", time.perf_counter() - self._begin)
        tasks = {node.namespace for node in pipeline.nodes if node.name.endswith("score_model")}
        for task in sorted(filter(None, tasks)):
            folder = place(Path(run_params["project_path"]), REPORTING, self._case, task)
            log.info("%s", results_text(self._case, task, folder))


def results_text(case: str, task: str, folder: Path) -> str:
    """The table of contenders, the verdict, and where to look next, as plain text."""
    verdict = json.loads((folder / "verdict.json").read_text())
    rows = [("model", verdict["primary"], "interval", "minutes", "")]
    for row in verdict["table"]:
        chosen = "<- chosen" if row["name"] == verdict["chosen"] else ""
        interval = f"{number(row['low'])} to {number(row['high'])}"
        rows.append((row["name"], number(row["value"]), interval, f"{row['minutes']:.1f}", chosen))
    lines = ["", f"{case} / {task}", *(_line(row) for row in rows), "", *verdict["sentences"]]
    registered = folder / "registered_model.json"
    if registered.is_file():
        model = json.loads(registered.read_text())
        lines.append(f"registered: {model['name']} version {model['version']} ({model['alias']})")
    lines += ["", "look next:", f"  {folder / 'report.html'}"]
    lines.append("  mlflow ui --backend-store-uri sqlite:///mlflow.db   (runs and the registry)")
    return "\n".join(lines)


def number(value: object) -> str:
    """Three decimals, or n/a where a score is undefined."""
    return f"{value:.3f}" if isinstance(value, int | float) else "n/a"


def _line(row: tuple[str, ...]) -> str:
    widths = (14, 14, 16, 9, 10)
    return "  " + "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
