"""All that a command on a registered model needs to know of its case."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from graft.adapters.conf import open_conf
from graft.adapters.ledger.ledger import FOLDER, Ledger
from graft.adapters.registry import NAME, RegistryError
from graft.vision.promotion.options import PromotionOptions, rule_of

if TYPE_CHECKING:
    from graft.vision.task import Task


@dataclass(frozen=True)
class Case:
    """A case's task with its rule, its images and its ledger; MLflow is connected to its store."""

    project: Path
    name: str
    model: str
    task_name: str
    rule: PromotionOptions | None
    raw: Path
    experiment: str

    @property
    def task(self) -> "Task":
        """Imported when it is asked for: a history is told without PyTorch."""
        from graft.vision.tasks import choose_task

        return choose_task({"name": self.task_name})[0]

    @property
    def ledger(self) -> Ledger:
        """Of the case's registered model."""
        return Ledger(self.project / FOLDER, self.model)


def open_case(project: Path, text: str) -> Case:
    """The case of a model named ``CASE-TASK``, also with ``@alias`` or ``/version``.

    Raises:
        RegistryError: for a name that is no case's.
        OptionsError: for a rule that conf states wrongly.
        TrackingError: where MLflow's store cannot be used.
    """
    from graft.adapters.tracking.connection import TrackingOptions, connect
    from graft.vision.tasks import TASKS

    found = NAME.fullmatch(text)
    model = found["name"] if found else text
    name, _, task = model.rpartition("-")
    if task not in TASKS or not (project / "conf" / name).is_dir():
        raise RegistryError(
            f"{text!r} names no registered model of a case here",
            allowed=f"CASE-TASK, where conf/CASE is a folder and TASK one of {', '.join(TASKS)}",
            mend="see the names of models in MLflow",
        )
    conf = open_conf(project / "conf", name)
    rule = rule_of(conf["parameters"][task].get("promotion"), f"parameters: {task}.promotion")
    options = TrackingOptions.parse(dict(conf["mlflow"]), "conf mlflow.yml")
    connect(options, project)
    return Case(
        project, name, model, task, rule,
        project / str(conf["globals"]["raw"]), options.experiment,
    )  # fmt: skip
