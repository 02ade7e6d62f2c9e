"""Registration, as a list of nodes."""

from kedro.pipeline import Node, Pipeline

from graft.pipelines.registration.nodes import register_model


def create_pipeline() -> Pipeline:
    """The chosen model to the registry, as challenger."""
    return Pipeline(
        [
            Node(
                register_model,
                ["chosen_model", "test_metrics", "report"],
                "registered_model",
                name="register_model",
            ),
        ]
    )
