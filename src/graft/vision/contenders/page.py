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
from graft.vision.records import Array, digest_of, named_rows

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
        reliability=_reliability(rows),
        worst=_worst(ground, test_predictions, options.worst_images),
        attention=_attention(ground, chosen, test_predictions, options.attention_images),
        quality=quality,
        policy_preview=policy_preview,
        facts=_facts(ground, chosen, probe_report, quality),
    )
    return render_report(material)


def _reliability(rows: pd.DataFrame) -> dict[str, list[dict[str, float]]]:
    right = (rows["truth"] == rows["prediction"]).to_numpy(float)
    return {
        "before": reliability_bins(rows["uncalibrated_score"].to_numpy(), right),
        "after": reliability_bins(rows["score"].to_numpy(), right),
    }


def _worst(ground: Ground, predictions: pd.DataFrame, count: int) -> list[Picture]:
    wrong = predictions[predictions["truth"] != predictions["prediction"]]
    return [
        Picture(
            _encode(ground.pixels.read(row.sha256)),
            f"{row.truth} taken for {row.prediction} ({row.score:.2f}): {row.path}",
        )
        for row in named_rows(wrong.nlargest(count, "score"))
    ]


def _attention(
    ground: Ground, model: TrainedModel, predictions: pd.DataFrame, count: int
) -> list[Picture]:
    """Half of them right, half wrong, where there are such."""
    right = predictions["truth"] == predictions["prediction"]
    wrong = predictions[~right].nlargest(count // 2, "score")
    sure = predictions[right].nlargest(len(predictions), "score")
    places = np.linspace(0, max(0, len(sure) - 1), min(len(sure), count - len(wrong))).astype(int)
    pictures = []
    for row in named_rows(pd.concat([sure.iloc[places], wrong])):
        view = view_of(ground.pixels.read(row.sha256), model.card.preprocessing)
        name = str(row.prediction).split("|")[0]
        output = ground.classes.names.index(name) if name in ground.classes.names else 0
        shown = overlay(view, class_activation(model.module, view, output))
        said = f"{row.prediction} ({row.score:.2f})"
        truth = "" if row.truth == row.prediction else f", in truth {row.truth}"
        pictures.append(Picture(_encode(view), f"{said}{truth}", _encode(shown)))
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
