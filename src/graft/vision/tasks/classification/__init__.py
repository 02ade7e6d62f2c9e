"""Image classification: one class per image, or several."""

from graft.vision.task import Task
from graft.vision.tasks.classification.loss import loss
from graft.vision.tasks.classification.metrics import new_metrics
from graft.vision.tasks.classification.model import build_model
from graft.vision.tasks.classification.options import TaskOptions
from graft.vision.tasks.classification.predict import predict
from graft.vision.tasks.classification.transform import compose_options, transform
from graft.vision.tasks.classification.truth import read_truth

__all__ = ["TASK", "TaskOptions"]

TASK = Task(
    name="classification",
    primary_metric="accuracy",
    class_metric="recall",
    compose_options=compose_options,
    transform=transform,
    read_truth=read_truth,
    build_model=build_model,
    loss=loss,
    predict=predict,
    new_metrics=new_metrics,
)
