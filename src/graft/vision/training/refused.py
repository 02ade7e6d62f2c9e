"""A batch that gave what is not finite, kept with the model that met it: to be met again."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from graft.vision.backbones.freezing import set_training_mode
from graft.vision.errors import DataError, TrainingError
from graft.vision.model import Learner, first_names
from graft.vision.task import ClassTable, LossOptions, Task
from graft.vision.training.batches import Batch
from graft.vision.training.checkpoint import folder_beside
from graft.vision.training.gradients import Gradients
from graft.vision.training.mixing import Mix
from graft.vision.training.norms import learning_norms
from graft.vision.training.options import FineTuningOptions
from graft.vision.training.precision import Precision
from graft.vision.training.strategies import set_trainable, trainable_stages

Phase = Literal["training", "step", "validation"]
"""What was not finite: loss or gradients of a batch, the weights after its step, or outputs."""
CAUSES: dict[Phase, tuple[str, str]] = {
    "training": ("{}; nothing moved", "look at these images, or lower the learning rate"),
    "step": (
        "{} after its step",
        "lower the learning rate: the step was too long, whatever the images show",
    ),
    "validation": ("{}", "look at these images, or lower the learning rate"),
}
"""How the refusal of a batch is said, and what to do next."""


@dataclass(frozen=True)
class Met:
    """A batch as a training meets it: ``epoch`` and ``number`` count from 0; ``chance`` is the
    state of torch's generator before it."""

    batch: Batch
    mix: Mix | None
    epoch: int
    number: int
    chance: torch.Tensor

    def __str__(self) -> str:
        return f"epoch {self.epoch + 1}, batch {self.number + 1}"


@dataclass(frozen=True)
class RefusedBatch:
    """One batch and all that decided what came of it.

    Attributes:
        state: of the model, as it met the batch; after its step, where that spoiled the weights.
        facts: ``name`` of the training, its ``epochs``, what was ``found`` in which ``phase``,
            ``options``, ``loss_options``, ``origin`` (how the model is built).
    """

    met: Met
    state: Mapping[str, torch.Tensor]
    facts: Mapping[str, Any]

    @property
    def phase(self) -> Phase:
        """In which it was refused."""
        found: Phase = self.facts.get("phase", "training")
        return found

    def __str__(self) -> str:
        of = "validation of " if self.phase == "validation" else ""
        return f"{self.facts['name']}: {of}{self.met} gave {self.facts['found']}"

    def save(self, path: Path) -> None:
        """Write one safetensors file; one already there is replaced."""
        batch, mix = self.met.batch, self.met.mix
        tensors = {
            "views": batch.views if mix is None else mix.views,
            "chance": self.met.chance,
            **{f"state/{name}": tensor for name, tensor in self.state.items()},
        }
        for place, truth in enumerate(batch.truths):
            for name, array in truth.items():
                tensors[f"truth/{place}/{name}"] = torch.from_numpy(array.copy())
        met = {
            "ids": batch.ids,
            "mix": mix and {"partner": mix.partner, "share": mix.share},
            "epoch": self.met.epoch,
            "number": self.met.number,
        }
        facts = json.dumps({**self.facts, "met": met})
        # Copies, since tensors of one model may share memory, and a file may not.
        flat = {
            name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()
        }
        with folder_beside(path) as folder:
            save_file(flat, folder / path.name, metadata={"facts": facts})
            (folder / path.name).replace(path)


def load_refused(path: Path) -> RefusedBatch:
    """Read what `RefusedBatch.save` wrote.

    Raises `DataError` where it is not that.
    """
    try:
        with safe_open(path, framework="pt") as handle:
            facts = json.loads((handle.metadata() or {})["facts"])
            flat = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
        views, met = flat["views"], facts.pop("met")
        if views.dim() == 4:  # as batches lie
            views = views.contiguous(memory_format=torch.channels_last)
        truths: list[dict[str, Any]] = [{} for _ in met["ids"]]
        for key in (key for key in flat if key.startswith("truth/")):
            _, place, name = key.split("/", 2)
            truths[int(place)][name] = flat[key].numpy()
        state = {k.removeprefix("state/"): t for k, t in flat.items() if k.startswith("state/")}
        mix = met["mix"] and Mix(views, **met["mix"])
        batch = Batch(views, truths, met["ids"])
        found = Met(batch, mix, met["epoch"], met["number"], flat["chance"])
        return RefusedBatch(found, state, facts)
    except (SafetensorError, KeyError, ValueError, OSError) as error:
        raise DataError(
            f"{path} is no refused batch",
            found=f"{type(error).__name__}: {error}"[:120],
            mend="name a file that a refused training has written",
        ) from error


def refusal(refused: RefusedBatch, checkpoint: Path | None, images: Sequence[str]) -> TrainingError:
    """The error that ends a training; where that has a checkpoint, the batch lies beside it.

    ``images``: the ids of those in question.
    """
    said, mend = CAUSES[refused.phase]
    mend += "; the last checkpoint is whole"
    if checkpoint is not None:
        file = checkpoint.with_suffix(".refused.safetensors")
        refused.save(file)
        mend += f"; to see it again: python -m graft.vision.contenders.replaying {file}"
    found = f"images {first_names(images)}"
    return TrainingError(said.format(refused), found=found, mend=mend)


@dataclass(frozen=True)
class Replayed:
    """What came of a batch when it was met again; ``alone``: the loss of each image, by id.

    Of validation the largest output stands for the loss, and nothing has a gradient.
    """

    loss: float
    gradient_norm: float
    alone: Mapping[str, float]


def replay(
    refused: RefusedBatch, task: Task, classes: ClassTable, model: Learner, precision: Precision
) -> Replayed:
    """Let a model built as the training's was meet the batch again, as the training did."""
    facts, met, batch = refused.facts, refused.met, refused.met.batch
    options = FineTuningOptions.from_record(facts["options"])
    model.load_state_dict(dict(refused.state))
    model.to(precision.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if refused.phase == "validation":
        return _judged(batch, model, precision)
    stages = trainable_stages(model, options, met.epoch / facts["epochs"])
    set_trainable(model, options, stages)
    set_training_mode(model, stages, batch_norm_moves=options.batch_norm == "moves")
    precision.meet(model, precision.put(batch.views[:1]))
    losses = LossOptions.from_record(facts["loss_options"])
    gradients = Gradients(facts["name"], task, classes, model, precision, losses, options)
    torch.set_rng_state(met.chance)
    loss = gradients.add(batch, met.mix)
    found = [p.grad for p in model.parameters() if p.grad is not None]
    norm = float(torch.nn.utils.get_total_norm(found)) if found else float("nan")
    for _, learning in learning_norms(model):
        learning.eval()  # a single image has no statistics
    alone = {
        name: gradients.add(Batch(batch.views[i : i + 1], [batch.truths[i]], [name]), None)
        for i, name in enumerate(batch.ids)
    }
    return Replayed(loss, norm, alone)


def _judged(batch: Batch, model: Learner, precision: Precision) -> Replayed:
    model.eval()
    with torch.inference_mode(), precision.around(model):
        outputs = model(precision.put(batch.views)).float()
    largest = outputs.flatten(1).abs().amax(dim=1)  # NaN where one is
    return Replayed(
        float(largest.max()), float("nan"), dict(zip(batch.ids, largest.tolist(), strict=True))
    )
