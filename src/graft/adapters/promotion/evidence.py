"""What is recorded of a version: its card, its split, what it said of the test images.

Each is bound by its digest to the version's tags before it is believed. To read a split or a tag
needs no PyTorch, and does without. What is there and cannot be read is no missing evidence: whoever
reads raises `UnreadableCopyError` then.
"""

import io
import json
from typing import TYPE_CHECKING, Any

import pandas as pd

from graft.adapters.lineage.parents import known_before
from graft.adapters.promotion.case import Case
from graft.adapters.promotion.copies import copies
from graft.adapters.registry import RegistryError
from graft.vision.errors import DataError, GraftError
from graft.vision.records import data_digest, digest_of

if TYPE_CHECKING:
    from graft.vision.model import ModelCard
    from graft.vision.promotion.records import Judged


class EvidenceError(GraftError):
    """What a decision needs was not recorded, or is not what was recorded."""


def judged(case: Case, version: Any) -> "Judged":
    """A version as it was judged, with the predictions that its run recorded.

    Raises `EvidenceError` where card or predictions are missing or belong to another model, or
    where it is not recorded what those learned from whose weights it started from.
    """
    from graft.vision.promotion.records import Judged

    card = card_of(case, version)
    split = split_of(case, version)
    return Judged(
        name=called(version),
        classes=card.classes,
        predictions=_predictions(case, version, split),
        bound=_bound(card, version, split),
        split_manifest=_known(version, split),
    )


def judged_again(case: Case, version: Any, on: "Judged", said: pd.DataFrame) -> "Judged":
    """A version as judged by ``said``, its predictions of the test images of another."""
    from graft.vision.promotion.records import Judged

    card = card_of(case, version)
    known = on.predictions[["id", "path", "sha256", "unit", "truth"]].reset_index(drop=True)
    predictions = pd.concat([known, said.reset_index(drop=True)], axis=1)
    split = split_of(case, version)
    bound = {**_bound(card, version, split), "test_set": on.bound["test_set"]}
    return Judged(called(version), card.classes, predictions, bound, _known(version, split))


def called(version: Any) -> str:
    """``NAME/version``."""
    return f"{version.name}/{version.version}"


def card_of(case: Case, version: Any) -> "ModelCard":
    """The card that the version's identity was taken over."""
    from graft.vision.model import ModelCard

    for data in copies(case, version, "model_card.json"):
        card = ModelCard.from_record(json.loads(data))
        tags = version.tags
        parts = [tags.get("weights_sha256"), card.identity, tags.get("code_sha256")]
        if digest_of(parts) == tags.get("identity_sha256"):
            return card
    raise _missing(version, "model_card.json", "that its identity_sha256 was taken over")


def split_of(case: Case, version: Any) -> pd.DataFrame | None:
    """The split that the version was trained by; None where none is recorded that fits its tags."""
    for data in copies(case, version, "split_manifest.parquet"):
        rows = pd.read_parquet(io.BytesIO(data))
        learned = data_digest(rows[rows["split"] != "test"])
        if learned == version.tags.get("data_sha256"):
            return rows
    return None


def logged(case: Case, version: Any, name: str) -> bytes | None:
    """A file that a version's run has logged for its task; None where it has not."""
    return next(copies(case, version, name), None)


def threads_of(version: Any) -> int | None:
    """How many threads its run had, by which sums are rounded."""
    text = run_tags(version).get("machine.threads", "")
    return int(text) if text.isdigit() else None


def run_tags(version: Any) -> dict[str, str]:
    """The tags of the run that registered it; none where the run is gone."""
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    try:
        return dict(MlflowClient().get_run(version.run_id).data.tags)
    except MlflowException:
        return {}


def _known(version: Any, split: pd.DataFrame | None) -> pd.DataFrame | None:
    """Its split, then what those knew whose weights it started from: what they have learned, it
    has."""
    if split is None:
        return None
    try:
        before = known_before(version)
    except (DataError, RegistryError) as error:
        raise EvidenceError(f"what {called(version)} started from is not known: {error}") from error
    return split if before is None else pd.concat([split, before], ignore_index=True)


def _bound(card: "ModelCard", version: Any, split: pd.DataFrame | None) -> dict[str, str]:
    unknown = "unknown"
    test = unknown if split is None else data_digest(split[split["split"] == "test"])
    return {
        "task": card.task,
        "test_set": test,
        "preprocessing": digest_of([card.preprocessing.model_dump(mode="json"), card.decoding]),
        "code": version.tags.get("code_sha256", unknown),
        "identity": version.tags.get("identity_sha256", unknown),
        "weights": version.tags.get("weights_sha256", unknown),
    }


def _predictions(case: Case, version: Any, split: pd.DataFrame | None) -> pd.DataFrame:
    for data in copies(case, version, "test_predictions.parquet"):
        table = pd.read_parquet(io.BytesIO(data))
        if set(table["contender"]) == {version.tags.get("contender")} and _covers(table, split):
            return table
    raise _missing(version, "test_predictions.parquet", "of this model and its test images")


def _covers(table: pd.DataFrame, split: pd.DataFrame | None) -> bool:
    """Whether these are predictions of the split's test images."""
    if split is None:
        return True
    test = split[split["split"] == "test"]
    sides = [set(zip(rows["id"], rows["sha256"], strict=True)) for rows in (table, test)]
    return sides[0] == sides[1]


def _missing(version: Any, name: str, which: str) -> EvidenceError:
    return EvidenceError(
        f"{called(version)} has no {name} {which} among the artifacts of its run",
        mend="evaluate and register the model again with kedro run",
    )
