"""What the report's page shows, gathered from the records of a run."""

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import pandas as pd

from graft.vision.contenders.ground import Ground
from graft.vision.contenders.meeting import of_contender
from graft.vision.evaluation.attention import class_activation, overlay
from graft.vision.evaluation.calibration import reliability_bins
from graft.vision.evaluation.options import EvaluationOptions
from graft.vision.evaluation.report import ReportMaterial, render_report
from graft.vision.evaluation.report.material import Picture
from graft.vision.model import TrainedModel
from graft.vision.preprocessing import view_of, with_channels
from graft.vision.records import Array, digest_of
from graft.vision.task import Metrics

PICTURE_PX = 200


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
        worst=_pictures(ground, test_predictions, metrics, options.worst_images),
        attention=_attention(ground, chosen, test_predictions, metrics, options.attention_images),
        quality=quality,
        policy_preview=policy_preview,
        facts=_facts(ground, chosen, probe_report, quality),
    )
    return render_report(material)


def _reliability(
    ground: Ground, rows: pd.DataFrame, metrics: Metrics
) -> dict[str, list[dict[str, float]]]:
    before = ground.task.new_metrics(
        rows.assign(score=rows["uncalibrated_score"].astype(float)), ground.classes
    )
    return {
        "before": reliability_bins(*before.reliability()),
        "after": reliability_bins(*metrics.reliability()),
    }


def _pictures(
    ground: Ground, predictions: pd.DataFrame, metrics: Metrics, count: int
) -> list[Picture]:
    """The worst images, the surest errors first; a median and the best one where scores differ."""
    scores = metrics.image_scores()
    order = _from_the_worst(predictions, scores)
    worst = [row for row in order if scores[row] < 1][:count]
    middle = [row for row in (order[len(order) // 2 :][:1] + order[-1:]) if row not in worst]
    partial = ((scores > 0) & (scores < 1)).any()
    shown = [*worst, *(middle if partial else [])]
    return [_picture(ground, predictions, metrics, row) for row in shown]


def _from_the_worst(predictions: pd.DataFrame, scores: Array) -> list[int]:
    keyed = np.where(np.isfinite(scores), scores, np.inf)
    order = np.lexsort((-predictions["score"].to_numpy(float), keyed))
    return [int(row) for row in order if np.isfinite(scores[row])]


def _picture(ground: Ground, predictions: pd.DataFrame, metrics: Metrics, row: int) -> Picture:
    shown = metrics.show(row, ground.pixels.read(predictions["sha256"].iloc[row]))
    companion = None if shown.companion is None else _encode(shown.companion)
    path = predictions["path"].iloc[row]
    return Picture(_encode(shown.picture), f"{shown.caption}: {path}", companion)


def _attention(
    ground: Ground, model: TrainedModel, predictions: pd.DataFrame, metrics: Metrics, count: int
) -> list[Picture]:
    """Where the model looks: half on images that it does badly, half spread over the others."""
    scores = metrics.image_scores()
    order = _from_the_worst(predictions, scores)
    bad = [row for row in order if scores[row] < 1][: count // 2]
    good = [row for row in order if row not in bad]
    places = np.linspace(0, max(0, len(good) - 1), min(len(good), count - len(bad))).astype(int)
    pictures = []
    for row in [*(good[place] for place in places), *bad]:
        said = predictions.iloc[row]
        pixels = ground.pixels.read(said["sha256"])
        view = view_of(pixels, model.card.preprocessing)
        name = str(said["prediction"]).split("|")[0]
        output = ground.classes.names.index(name) if name in ground.classes.names else None
        heat = overlay(view, class_activation(model.module, view, output))
        caption = metrics.show(row, pixels).caption
        pictures.append(Picture(_encode(view), caption, _encode(heat)))
    return pictures


def _encode(pixels: Array) -> bytes:
    """A small JPEG."""
    pixels = np.ascontiguousarray(with_channels(pixels, 3)[:, :, ::-1])
    scale = PICTURE_PX / max(pixels.shape[:2])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST
    small = cv2.resize(pixels, size, interpolation=interpolation)
    return cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 82])[1].tobytes()


def _facts(
    ground: Ground, model: TrainedModel, probe_report: Mapping[str, Any], quality: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    card = model.card
    training = {k: v for k, v in card.facts.items() if k not in ("machine", "options", "frozen")}
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
        "Probe": dict(probe_report),
        "Machine": card.facts.get("machine", {}),
    }
