"""Class names that only look different, or only look alike."""

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from unicodedata import normalize

from graft.vision.data.sources.reading import SourceReading, classes_truth


def settle_class_names(reading: SourceReading) -> None:
    """Take for one what is the same text in other bytes; say which names differ by little more.

    Archives made on a Mac spell accents in other code points (Unicode NFD for NFC): a class would
    fall in two. Names that differ in case or blanks are never merged.
    """
    spelled = _alike(reading, lambda name: normalize("NFC", name))
    if spelled:
        reading.findings.append(
            f"class names in two Unicode spellings are taken for one: {', '.join(sorted(spelled))}"
        )
        forms = {name: form for form, names in spelled.items() for name in names}
        reading.rows = [
            replace(row, truth=classes_truth(forms.get(name, name) for name in _names(row.truth)))
            if row.truth
            else row
            for row in reading.rows
        ]
    alike = _alike(reading, lambda name: "".join(normalize("NFKC", name).casefold().split()))
    for _, names in sorted(alike.items()):
        reading.findings.append(
            f"class names differ in case or blanks only: {', '.join(map(repr, sorted(names)))}"
        )


def _names(truth: str) -> list[str]:
    """None for a row of boxes or a mask, whose names ingestion makes a truth of."""
    return list(json.loads(truth)["classes"]) if truth else []


def _alike(reading: SourceReading, form_of: Callable[[str], str]) -> dict[str, set[str]]:
    """Class names by the form they share, where several share one."""
    by_form: dict[str, set[str]] = defaultdict(set)
    for truth in {row.truth for row in reading.rows}:
        for name in _names(truth):
            by_form[form_of(name)].add(name)
    return {form: names for form, names in by_form.items() if len(names) > 1}
