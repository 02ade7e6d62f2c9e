"""What the report's page shows, gathered from the records of a run."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd

from graft.vision.contenders.ground import Ground
from graft.vision.contenders.meeting import of_contender
from graft.vision.evaluation.calibration import reliability_bins
from graft.vision.evaluation.options import EvaluationOptions
from graft.vision.evaluation.report import ReportMaterial, render_report
from graft.vision.evaluation.report.pictures import Gallery, encode
from graft.vision.model import TrainedModel
from graft.vision.records import DOUBTED, digest_of
from graft.vision.task import Illustrated, Metrics

BESIDE = ("machine", "machines_before", "options", "frozen")
"""Facts of a card that are shown elsewhere, or nowhere."""


def render_page(
    case: str,
    ground: Ground,
    chosen: TrainedModel,
    test_predictions: pd.DataFrame,
    contender_predictions: pd.DataFrame,
    test_metrics: Mapping[str, Any],
    verdict: Mapping[str, Any],
    histories: Mapping[str, pd.DataFrame],
    probe_report: Mapping[str, Any],
    quality: Mapping[str, Any],
    policy_preview: bytes,
    options: EvaluationOptions,
) -> str:
    """The report of one task of a case, as HTML."""
    rows = of_contender(contender_predictions, verdict["chosen"])
    metrics = ground.task.new_metrics(rows, ground.classes)
    gallery = Gallery(test_predictions, metrics, ground.pixels)
    own = metrics if isinstance(metrics, Illustrated) else None
    material = ReportMaterial(
        case=case,
        task=ground.task.name,
        primary=ground.task.primary_metric,
        verdict=verdict,
        scores=test_metrics,
        per_class=metrics.per_class(),
        confusion=metrics.confusion(),
        # What was undefined, as without validation images, is an empty cell of the CSV.
        histories={n: table.replace("", np.nan).astype(float) for n, table in histories.items()},
        reliability=_reliability(ground, rows, metrics),
        worst=gallery.worst_to_best(options.worst_images),
        attention=gallery.looks(chosen, options.attention_images),
        quality={**quality, DOUBTED: probe_report.get(DOUBTED, [])},
        policy_preview=_as_jpeg(policy_preview),
        facts=_facts(ground, chosen, probe_report, quality),
        figures=own.figures() if own else (),
        words=own.words() if own else {},
        legend=own.legend() if own else {},
    )
    return render_report(material)


def _reliability(
    ground: Ground, rows: pd.DataFrame, metrics: Metrics
) -> dict[str, list[dict[str, float]]]:
    plain = ground.task.new_metrics(
        rows.assign(score=rows["uncalibrated_score"].astype(float)), ground.classes
    )
    before, after = (reliability_bins(*found.reliability()) for found in (plain, metrics))
    return {"predictions": after} if before == after else {"before": before, "after": after}


def _as_jpeg(png: bytes) -> bytes:
    """As a JPEG, where that is smaller: pages are mailed."""
    pixels = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    return png if pixels is None else min(png, encode(pixels[:, :, ::-1]), key=len)


def _facts(
    ground: Ground, model: TrainedModel, probe_report: Mapping[str, Any], quality: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    card = model.card
    training = {k: v for k, v in card.facts.items() if k not in BESIDE}
    return {
        "Chosen model": {
            "contender": card.contender,
            "strategy": card.strategy,
            "temperature": f"{card.temperature:.3f}",
            "seed": card.seed,
            **training,
        },
        "Weights": card.backbone.model_dump(exclude={"stages", "channel_order"}),
        "Stages proven frozen": card.facts.get("frozen", {}),
        "View": card.preprocessing.model_dump(),
        "Data": {
            "sha256 of all images and truths": quality["data_sha256"],
            "sha256 of what was learned from": card.data_digest,
        },
        "Policy": {"preset": ground.policy["preset"], "sha256": digest_of(ground.policy)},
        "Probe": {name: said for name, said in probe_report.items() if name != DOUBTED},
        "Machine": card.facts.get("machine", {}),
    }
