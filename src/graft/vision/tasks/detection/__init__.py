"""Object detection: boxes, each with a class and a score."""

from graft.vision.task import Task
from graft.vision.tasks.detection.loss import loss
from graft.vision.tasks.detection.metrics import new_metrics
from graft.vision.tasks.detection.model import build_model
from graft.vision.tasks.detection.objects import objects
from graft.vision.tasks.detection.options import TaskOptions
from graft.vision.tasks.detection.predict import predict
from graft.vision.tasks.detection.transform import compose_options, transform
from graft.vision.tasks.detection.truth import read_truth

__all__ = ["TASK", "TaskOptions"]

TASK = Task(
    name="detection",
    primary_metric="map",
    class_metric="ap",
    compose_options=compose_options,
    transform=transform,
    read_truth=read_truth,
    build_model=build_model,
    loss=loss,
    predict=predict,
    new_metrics=new_metrics,
    objects=objects,
)
