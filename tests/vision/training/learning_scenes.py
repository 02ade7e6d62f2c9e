"""Grounds of each task of the table on which a training learns: drawn scenes in two splits."""

from dataclasses import replace
from pathlib import Path

from task_grounds import SCENES, lay_scenes

from graft.vision.augmentation.options import PolicyOptions
from graft.vision.augmentation.policies import compose_policy
from graft.vision.contenders.ground import Ground

TRAIN, VAL = 8, 4


def lay_learning_scenes(name: str, folder: Path, preset: str = "natural") -> Ground:
    """Eight training and four validation scenes, seen at 64 px under a policy that draws."""
    ground = lay_scenes(name, folder, SCENES * ((TRAIN + VAL) // len(SCENES)))
    rows = ground.rows.assign(split=["train"] * TRAIN + ["val"] * VAL)
    options = PolicyOptions.parse({"preset": preset}, "test")
    policy = compose_policy(options, ground.preprocessing, ground.task)
    return replace(ground, rows=rows, policy=policy)
