"""Whether two models may be compared at all: on the same test images, that neither has seen."""

import pandas as pd

from graft.vision.promotion.options import PromotionOptions
from graft.vision.promotion.records import MUST_AGREE, Check, Judged

NAMED = 5
"""How many images a sentence names."""
WORDS = {"test_set": "test set", "task": "task", "preprocessing": "preprocessing", "code": "code"}


def find_unlike(one: Judged, other: Judged, options: PromotionOptions) -> list[Check]:
    """One check per thing that the scores of two models belong to."""
    checks = [_agree(what, one, other, options) for what in MUST_AGREE]
    checks.append(_same_images(one, other))
    same = one.bound.get("identity") == other.bound.get("identity") is not None
    said = f"{one.name} and {other.name} are {'one and the same model' if same else 'two models'}"
    return [*checks, Check("same_model", not same, said)]


def find_leaks(tested: Judged, *models: Judged) -> list[Check]:
    """One check per model: none of the test images, nor a near-copy, was learned from."""
    relatives = _relatives(tested, models)
    return [_leak(tested, model, relatives) for model in models]


def _agree(what: str, one: Judged, other: Judged, options: PromotionOptions) -> Check:
    here, there = (str(judged.bound.get(what, "unknown")) for judged in (one, other))
    if here == there != "unknown":
        return Check(what, True, f"the same {WORDS[what]}")
    said = f"another {WORDS[what]}: {here[:12]} of {one.name}, {there[:12]} of {other.name}"
    if what in options.may_differ:
        return Check(what, True, f"{said}; promotion.may_differ allows it")
    return Check(what, False, said)


def _same_images(one: Judged, other: Judged) -> Check:
    """Digests may agree and files have been changed since: the rows themselves must be the same."""
    columns = ["id", "sha256", "truth"]
    rows, others = (
        judged.predictions[columns].astype(str).set_index("id") for judged in (one, other)
    )
    odd = sorted(set(rows.index) ^ set(others.index))
    if not odd:
        unequal = (rows != others.loc[rows.index]).any(axis=1)
        odd = sorted(rows.index[unequal])
    if odd:
        return Check("test_images", False, f"not judged on the same images: {_named(odd)}")
    return Check("test_images", True, f"judged on the same {len(rows)} images")


def _relatives(tested: Judged, models: tuple[Judged, ...]) -> pd.Series:
    """Test id by SHA-256 of itself and of each of its near-copies that any manifest knows."""
    found = dict(zip(tested.predictions["sha256"], tested.predictions["id"], strict=True))
    for model in models:
        if model.split_manifest is None:
            continue
        rows = model.split_manifest
        ids = rows["sha256"].map(found)
        by_cluster = ids.groupby(rows["cluster"]).first().dropna()
        near = rows["cluster"].map(by_cluster)
        copies = zip(rows["sha256"], near, strict=True)
        found = {sha256: name for sha256, name in copies if isinstance(name, str)} | found
    return pd.Series(found, dtype=object)


def _leak(tested: Judged, model: Judged, relatives: pd.Series) -> Check:
    if model.split_manifest is None:
        return Check("leak", False, f"what {model.name} was trained on is not recorded")
    seen = relatives[relatives.index.isin(list(model.learned))]
    if seen.empty:
        return Check("leak", True, f"{model.name} has learned from no test image or near-copy")
    exact = set(tested.predictions["sha256"])
    words = sorted(
        f"{name}" if sha256 in exact else f"{name} (a near-copy)" for sha256, name in seen.items()
    )
    return Check("leak", False, f"{model.name} was trained on test images: {_named(words)}")


def _named(names: list[str]) -> str:
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
