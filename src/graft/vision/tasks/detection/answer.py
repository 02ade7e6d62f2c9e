"""What a served detector answers of an image: the words of its prediction, a column for each."""

import json
from typing import Any

from graft.vision.options import Options

COLUMNS = {"boxes_xyxy": list[list[float]], "classes": list[str], "scores": list[float]}
"""In px of the upright original, best first; the three lists have one place per object."""


class AnswerOptions(Options):
    """Nothing may be asked for beside the images."""


def cells_of(prediction: str, options: Options) -> dict[str, Any]:
    """The columns' values for one prediction."""
    words = json.loads(prediction)
    return {name: words[name] for name in COLUMNS}
