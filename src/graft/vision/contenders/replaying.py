"""A refused batch, met again from its file alone:

    python -m graft.vision.contenders.replaying FILE

Says what the training said of it, what comes of it now, which weights are not finite where a step
spoiled them, and the loss of each of its images alone (of validation, its largest output): the
image that spoils the batch is among those for which that is not finite.
"""

import math
import sys
from pathlib import Path
from typing import Any

from graft.vision.backbones.backbone import Backbone
from graft.vision.backbones.contract import WeightsContract
from graft.vision.contenders.ground import Ground
from graft.vision.model import GraftedModel, HeadOnFeatures, Learner, first_names
from graft.vision.task import ClassTable
from graft.vision.tasks import choose_task
from graft.vision.training.after_frozen import AfterFrozen
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.precision import Precision
from graft.vision.training.refused import RefusedBatch, Replayed, load_refused, replay
from graft.vision.training.strategies import always_frozen


def origin_of(ground: Ground, model: GraftedModel, *, features: bool = False) -> dict[str, Any]:
    """How a training's model is built, in plain values; with ``features`` only its head learns."""
    kind = "features" if features else "views"
    return {
        "task": {"name": ground.task.name, **ground.task_options.model_dump(mode="json")},
        "classes": ground.classes.model_dump(mode="json"),
        "backbone": model.backbone.contract.model_dump(mode="json"),
        "size_px": ground.preprocessing.size_px,
        "fed": "stored outputs" if isinstance(model, AfterFrozen) else kind,
    }


def replay_file(path: Path) -> tuple[RefusedBatch, Replayed]:
    """The refused batch of a file, and what comes of it now.

    Raises `DataError` where the file is none.
    """
    refused = load_refused(path)
    origin = refused.facts["origin"]
    options = FineTuningOptions.from_record(refused.facts["options"])
    task, task_options = choose_task(origin["task"])
    classes = ClassTable.from_record(origin["classes"])
    backbone = Backbone.empty(WeightsContract.from_record(origin["backbone"]))
    model = task.build_model(backbone, classes, task_options)
    precision = Precision(options)
    learner = _fed(model, origin, options, precision)
    return refused, replay(refused, task, classes, learner, precision)


def _fed(
    model: GraftedModel, origin: dict[str, Any], options: FineTuningOptions, precision: Precision
) -> Learner:
    if origin["fed"] == "features":
        return HeadOnFeatures(model, origin["size_px"])
    if origin["fed"] == "stored outputs":
        frozen = always_frozen(model, options)
        return AfterFrozen(model, frozen, origin["size_px"], precision)
    return model


def told(refused: RefusedBatch, replayed: Replayed) -> str:
    """The answer in lines."""
    said = "outputs up to" if refused.phase == "validation" else "a loss of"
    now = f"now: {said} {replayed.loss}"
    if refused.phase != "validation":
        now += f", a gradient norm of {replayed.gradient_norm}"
    alone = [
        f"  {name}: {said} {loss:.4g}{'' if math.isfinite(loss) else '  <- not finite'}"
        for name, loss in replayed.alone.items()
    ]
    odd = [name for name, tensor in refused.state.items() if not tensor.isfinite().all()]
    weights = [f"weights that are not finite: {first_names(odd)}"] if odd else []
    return "\n".join([str(refused), now, *weights, "each image alone:", *alone])


if __name__ == "__main__":
    print(told(*replay_file(Path(sys.argv[1]))))
