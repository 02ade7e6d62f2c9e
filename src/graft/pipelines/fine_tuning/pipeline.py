"""Fine-tuning, as a list of nodes."""

from kedro.pipeline import Node, Pipeline

from graft.pipelines._compose import GROUND
from graft.pipelines.fine_tuning.nodes import fine_tune, train_scratch


def create_pipeline() -> Pipeline:
    """The fine-tuned contender and the control from scratch."""
    return Pipeline(
        [
            GROUND,
            Node(
                fine_tune,
                ["ground", "probe", "parent", "checkpoint_folder", "params:fine_tuning"],
                ["fine_tuned", "fine_tuned_history"],
                name="fine_tune",
                tags=["gpu"],
            ),
            Node(
                train_scratch,
                ["ground", "probe_report", "checkpoint_folder", "params:control"],
                ["scratch", "scratch_history"],
                name="train_scratch",
                tags=["gpu"],
            ),
        ]
    )
