"""Each node calls the library; heavy imports wait until the node runs."""

from typing import Any

from graft.vision.evaluation.options import EvaluationOptions


def calibrate_models(ground: Any, probe: Any, fine_tuned: Any, scratch: Any) -> dict[str, float]:
    """One temperature per contender, fitted on validation images."""
    from graft.vision.contenders.meeting import calibrate_models

    return calibrate_models(ground, [probe, fine_tuned, scratch])


def predict_contenders(
    ground: Any, probe: Any, fine_tuned: Any, scratch: Any, calibrations: dict[str, float]
) -> Any:
    """What each contender says of every test image."""
    from graft.vision.contenders.meeting import predict_contenders

    return predict_contenders(ground, [probe, fine_tuned, scratch], calibrations)


def judge_contenders(
    ground: Any,
    contender_predictions: Any,
    probe: Any,
    fine_tuned: Any,
    scratch: Any,
    options: EvaluationOptions,
) -> dict[str, Any]:
    """The cheapest model that cannot be told apart from the best, with intervals."""
    from graft.vision.contenders.meeting import judge_contenders

    return judge_contenders(ground, contender_predictions, [probe, fine_tuned, scratch], options)


def choose_model(
    probe: Any,
    fine_tuned: Any,
    scratch: Any,
    verdict: dict[str, Any],
    calibrations: dict[str, float],
) -> Any:
    """The model that the verdict names, with its temperature on its card."""
    from graft.vision.contenders.meeting import choose_model

    return choose_model([probe, fine_tuned, scratch], verdict, calibrations)


def score_model(
    ground: Any, contender_predictions: Any, verdict: dict[str, Any], options: EvaluationOptions
) -> tuple[Any, dict[str, Any]]:
    """The chosen model's predictions, and its scores with their intervals."""
    from graft.vision.contenders.meeting import score_model

    return score_model(ground, contender_predictions, verdict, options)


def render_report(
    case: str,
    ground: Any,
    chosen_model: Any,
    test_predictions: Any,
    contender_predictions: Any,
    test_metrics: dict[str, Any],
    verdict: dict[str, Any],
    fine_tuned_history: Any,
    scratch_history: Any,
    probe_report: dict[str, Any],
    quality_report: dict[str, Any],
    policy_preview: bytes,
    options: EvaluationOptions,
) -> str:
    """One page that shows all of it, with pictures."""
    from graft.vision.contenders.page import render_page

    return render_page(
        case,
        ground,
        chosen_model,
        test_predictions,
        contender_predictions,
        test_metrics,
        verdict,
        {"fine_tuned": fine_tuned_history, "scratch": scratch_history},
        probe_report,
        quality_report,
        policy_preview,
        options,
    )
