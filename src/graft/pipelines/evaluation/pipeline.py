"""Evaluation, as a list of nodes."""

from kedro.pipeline import Node, Pipeline

from graft.pipelines._compose import GROUND
from graft.pipelines.evaluation.nodes import (
    calibrate_models,
    choose_model,
    judge_contenders,
    predict_contenders,
    render_report,
    score_model,
)

MODELS = ["probe", "fine_tuned", "scratch"]


def create_pipeline() -> Pipeline:
    """The contenders meet on the same test images; a verdict, scores and a report come out."""
    return Pipeline(
        [
            GROUND,
            Node(calibrate_models, ["ground", *MODELS], "calibrations", name="calibrate_models"),
            Node(
                predict_contenders,
                ["ground", *MODELS, "calibrations"],
                "contender_predictions",
                name="predict_contenders",
            ),
            Node(
                judge_contenders,
                ["ground", "contender_predictions", *MODELS, "params:evaluation"],
                "verdict",
                name="judge_contenders",
            ),
            Node(
                choose_model,
                [*MODELS, "verdict", "calibrations"],
                "chosen_model",
                name="choose_model",
            ),
            Node(
                score_model,
                ["ground", "contender_predictions", "verdict", "params:evaluation"],
                ["test_predictions", "test_metrics"],
                name="score_model",
            ),
            Node(
                render_report,
                [
                    "params:case",
                    "ground",
                    "chosen_model",
                    "test_predictions",
                    "contender_predictions",
                    "test_metrics",
                    "verdict",
                    "fine_tuned_history",
                    "scratch_history",
                    "probe_report",
                    "quality_report",
                    "policy_preview",
                    "params:evaluation",
                ],
                "report",
                name="render_report",
            ),
        ]
    )
