"""The block `retraining` of conf: every default, and no part of what makes a model."""

from pathlib import Path

import pytest
import yaml

from graft.adapters.parameters import check_parameters, read_base
from graft.vision.errors import OptionsError
from graft.vision.monitoring.retraining_options import RetrainingOptions
from graft.vision.tasks import TASKS

ROOT = Path(__file__).resolve().parents[3]
BASE = ROOT / "conf" / "base" / "parameters"


@pytest.mark.parametrize("task", TASKS)
def test_retraining__base_states_every_default(task: str) -> None:
    stated = yaml.safe_load((BASE / f"{task}.yml").read_text())[task]["retraining"]
    assert stated == RetrainingOptions().model_dump(mode="json")


def test_retraining__a_case_may_name_it() -> None:
    check_parameters({"detection": {"seed": 0, "retraining": {}}}, read_base(BASE))


def test_retraining__a_misspelt_key_is_refused() -> None:
    with pytest.raises(OptionsError, match="did you mean 'unlabelled'"):
        RetrainingOptions.parse({"unlabeled": "served"}, "retraining")


def test_retraining__no_stage_reads_what_watches_and_promotes() -> None:
    from graft.pipeline_registry import register_pipelines

    read = {
        name.split(".")[1]
        for pipeline in register_pipelines().values()
        for name in pipeline.inputs()
        if name.startswith("params:") and "." in name
    }
    assert "ingestion" in read
    assert not read & {"retraining", "promotion"}
