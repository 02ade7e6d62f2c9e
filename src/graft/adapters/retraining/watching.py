"""Whether anything is new beside the champion; and if so, what is to be said of it."""

from typing import Any

import pandas as pd

from graft.adapters.promotion.case import Case
from graft.adapters.retraining.background import Background
from graft.adapters.retraining.looking import Seen
from graft.adapters.retraining.present import Present
from graft.adapters.retraining.served import watch_unlabelled
from graft.vision.monitoring.changes import find_changes
from graft.vision.monitoring.retraining_options import RetrainingOptions

Record = dict[str, Any]


def watch(
    case: Case,
    champion: Any,
    split: pd.DataFrame,
    seen: Seen,
    options: RetrainingOptions,
    *,
    power: bool = False,
) -> Record | None:
    """Compare the data as they lie now with those that the champion was trained and judged by.

    Where nothing is new nothing is embedded or asked, and PyTorch is not imported.

    Args:
        champion: its registered version.
        split: the split manifest that it was trained by.
        power: also tell which shifts would be found; it takes minutes.

    Returns:
        None where nothing is new and nothing unlabelled; else, as JSON has it: ``champion``
        (NAME/version); ``known``: the ``images`` it was made of, ``by_split``, ``data_sha256``;
        ``new`` (of `Changes.record`, with ``refused``: new files that cannot be used); ``drift``
        (of `watch_drift`) of images whose bytes the champion has never had; ``intake`` (of
        `judge_intake`); ``accuracy`` and ``fallen`` (of `watch_accuracy`) of those that belong
        together with none that it has learned from, ``left_out`` counts the others; ``unlabelled``
        and ``unlabelled_drift`` (of `watch_unlabelled`), null where conf names no folder;
        ``sentences``.

    Raises:
        AlteredModelError: when the champion's bytes are not those registered.
        OptionsError: for what conf states wrongly.
        DataError: where the folder of unlabelled images is not there.
    """
    background, present = Background(case, champion, split), Present(seen)
    changes = find_changes(split, present.manifest, background.withheld)
    refused = background.refused_since(present.refused)
    unlabelled = watch_unlabelled(background, present, options) if options.unlabelled else None
    if changes.new.empty and refused.empty and not (unlabelled and unlabelled["images"]):
        return None
    from graft.adapters.retraining.news import sentences_of, tell_news

    found = {
        "champion": background.name,
        "known": background.record(),
        "new": {**changes.record(), "refused": refused[["file", "reason"]].to_dict("records")},
        **tell_news(background, present, changes, refused, options, power),
        "unlabelled": unlabelled,
        "unlabelled_drift": unlabelled and unlabelled["drift"],
    }
    return {**found, "sentences": sentences_of(found)}
