"""Semantic segmentation: one class for each pixel."""

from graft.vision.task import Task
from graft.vision.tasks.segmentation.loss import loss
from graft.vision.tasks.segmentation.metrics import new_metrics
from graft.vision.tasks.segmentation.model import build_model
from graft.vision.tasks.segmentation.objects import objects
from graft.vision.tasks.segmentation.options import TaskOptions
from graft.vision.tasks.segmentation.predict import predict
from graft.vision.tasks.segmentation.transform import compose_options, transform
from graft.vision.tasks.segmentation.truth import read_truth

__all__ = ["TASK", "TaskOptions"]

TASK = Task(
    name="segmentation",
    primary_metric="miou",
    class_metric="iou",
    compose_options=compose_options,
    transform=transform,
    read_truth=read_truth,
    build_model=build_model,
    loss=loss,
    predict=predict,
    new_metrics=new_metrics,
    objects=objects,
)
