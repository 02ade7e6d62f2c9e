"""`kedro case create`: a folder becomes an overlay for the task that its annotators served."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from graft.adapters import case
from graft.adapters.case import create_case
from graft.vision.errors import DataError, OptionsError


def picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(path)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project/conf").mkdir(parents=True)
    return tmp_path / "project"


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    picture(tmp_path / "data/a.jpg")
    (tmp_path / "data/a.xml").write_text(
        "<annotation><object><name>ant</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>9</xmax>"
        "<ymax>9</ymax></bndbox></object></annotation>"
    )
    return tmp_path / "data"


def create(project: Path, data: Path, task: str | None = None) -> list[str]:
    lines: list[str] = []
    create_case(project, "ants", data, task, track=False, say=lines.append)
    return lines


@pytest.fixture
def three_tasks(monkeypatch) -> None:
    """The table as it is with all three tasks."""
    table = {"classes": "classification", "boxes": "detection", "masks": "segmentation"}
    monkeypatch.setattr(case, "TASK_BY_TRUTH", table)
    monkeypatch.setattr(case, "TASKS", dict.fromkeys(table.values(), ""))


def test_create_case__writes_the_task_of_the_truth_it_finds(three_tasks, project, boxes) -> None:
    lines = create(project, boxes)
    parameters = yaml.safe_load((project / "conf/ants/parameters/detection.yml").read_text())
    assert parameters == {"detection": {"ingestion": {"source": {"layout": "voc"}}}}
    assert (project / "data/01_raw/ants/a.xml").is_file()
    assert "layout 'voc', truth: boxes" in lines[0]
    assert any("1 boxes of 1 classes" in line for line in lines)


def test_create_case__looks_for_the_truth_of_the_task_that_is_asked_for(
    three_tasks, project, boxes
) -> None:
    with pytest.raises(DataError, match="no masks are recognised"):
        create(project, boxes, "segmentation")
    picture(boxes / "b.jpg")
    picture(boxes / "b_mask.png")
    picture(boxes / "a_mask.png")
    create(project, boxes, "segmentation")
    parameters = yaml.safe_load((project / "conf/ants/parameters/segmentation.yml").read_text())
    assert parameters["segmentation"]["ingestion"]["source"]["layout"] == "masks"


def test_create_case__says_when_no_task_fits(monkeypatch, project, boxes) -> None:
    monkeypatch.setattr(case, "TASK_BY_TRUTH", {"classes": "classification"})
    with pytest.raises(OptionsError, match=r"holds boxes, from which no task learns"):
        create(project, boxes)
    with pytest.raises(OptionsError, match="'poetry' cannot be run"):
        create(project, boxes, "poetry")
    assert not (project / "conf/ants").exists()
