"""From logits to classes with probabilities."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from graft.vision.data.truths import SEPARATOR
from graft.vision.preprocessing import Frame
from graft.vision.task import ClassTable


def predict(
    outputs: torch.Tensor, classes: ClassTable, temperature: float, frames: Sequence[Frame]
) -> pd.DataFrame:
    """One row per image: ``prediction``, ``score``, ``prob_<class>``.

    Of multi-label images the prediction names every class of 0.5 or more, joined by ``|``, and
    the score is the least certain class's probability of being right.
    """
    logits = outputs.double() / temperature
    scores = (logits.softmax(1) if classes.exclusive else logits.sigmoid()).numpy()
    scores = scores.reshape(-1, len(classes))
    names = np.array(classes.names, dtype=object)
    if classes.exclusive:
        best = scores.argmax(1) if len(scores) else np.zeros(0, int)
        prediction, score = names[best], scores.max(1, initial=0)
    else:
        chosen = scores >= 0.5
        prediction = np.array([SEPARATOR.join(names[row]) for row in chosen], dtype=object)
        score = np.where(chosen, scores, 1 - scores).min(1, initial=1)
    table = pd.DataFrame(scores, columns=[f"prob_{name}" for name in classes.names])
    table.insert(0, "prediction", pd.Series(prediction, dtype="str"))
    table.insert(1, "score", score.astype(float))
    return table
