"""Key points: one place per image, and what lies there."""

from graft.vision.task import Task
from graft.vision.tasks.key_points.loss import loss
from graft.vision.tasks.key_points.metrics import new_metrics
from graft.vision.tasks.key_points.model import build_model
from graft.vision.tasks.key_points.options import TaskOptions
from graft.vision.tasks.key_points.predict import predict
from graft.vision.tasks.key_points.transform import compose_options, transform
from graft.vision.tasks.key_points.truth import read_truth

__all__ = ["TASK", "TaskOptions"]

TASK = Task(
    name="key_points",
    primary_metric="closeness",
    class_metric="closeness",
    compose_options=compose_options,
    transform=transform,
    read_truth=read_truth,
    build_model=build_model,
    loss=loss,
    predict=predict,
    new_metrics=new_metrics,
)
