"""Names of classes and files that only look different, or only look alike."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from unicodedata import normalize

from graft.vision.data.boxes import StatedBoxes
from graft.vision.data.sources.reading import SourceReading, SourceRow, classes_truth

_MOST_NAMED = 5


def settle_class_names(reading: SourceReading) -> None:
    """Take for one what is the same text in other bytes; say which names differ by little more.

    Archives made on a Mac spell accents in other code points (Unicode NFD for NFC): a class would
    fall in two. Names that differ in case or blanks are never merged, nor are those of masks, whose
    numbers are stated.
    """
    spelled = _alike(_names(reading.rows), _composed)
    if spelled:
        reading.findings.append(
            f"class names in two Unicode spellings are taken for one: {', '.join(sorted(spelled))}"
        )
        forms = {name: form for form, names in spelled.items() for name in names}
        reading.rows = [_respelled(row, forms) for row in reading.rows]
    masked = set(reading.mask_rule.names) if reading.mask_rule else set()
    for form in sorted(_alike(masked, _composed)):
        reading.findings.append(
            f"{form!r} is named in two Unicode spellings and is two classes of masks; spell it once"
        )
    names = _names(reading.rows) | {_composed(name) for name in masked}
    alike = _alike(names, lambda name: "".join(normalize("NFKC", name).casefold().split()))
    for _, found in sorted(alike.items()):
        reading.findings.append(
            f"class names differ in case or blanks only: {', '.join(map(repr, sorted(found)))}; "
            "spell them alike where they are one class"
        )
    if reading.trimmed:
        reading.findings.append(
            f"{len(reading.trimmed)} class names have blanks around them and count without: "
            + ", ".join(map(repr, list(reading.trimmed)[:_MOST_NAMED]))
        )


def name_twin_files(reading: SourceReading) -> None:
    """Say which images would be one file where capitals or Unicode spellings do not count."""
    twins = _alike((row.path for row in reading.rows), lambda path: _composed(path).casefold())
    if twins:
        named = [" and ".join(map(ascii, sorted(paths))) for _, paths in sorted(twins.items())]
        reading.findings.append(
            f"{len(twins)} names of images differ in capitals or Unicode spelling only: one file "
            f"on some systems; rename one of each: {'; '.join(named[:_MOST_NAMED])}"
        )


def _composed(name: str) -> str:
    return normalize("NFC", name)


def _names(rows: Iterable[SourceRow]) -> set[str]:
    """The names of whole images and of boxes; masks have theirs in the rule."""
    truths = {row.truth for row in rows if row.truth}
    names = {name for truth in truths for name in json.loads(truth)["classes"]}
    return names | {box.name for row in rows if row.boxes for box in row.boxes.boxes}


def _respelled(row: SourceRow, forms: dict[str, str]) -> SourceRow:
    if row.truth:
        names = json.loads(row.truth)["classes"]
        return replace(row, truth=classes_truth(forms.get(name, name) for name in names))
    if row.boxes is None:
        return row
    return replace(row, boxes=_respelled_boxes(row.boxes, forms))


def _respelled_boxes(stated: StatedBoxes, forms: dict[str, str]) -> StatedBoxes:
    boxes = (replace(box, name=forms.get(box.name, box.name)) for box in stated.boxes)
    return replace(stated, boxes=tuple(boxes))


def _alike(names: Iterable[str], form_of: Callable[[str], str]) -> dict[str, set[str]]:
    """Names by the form they share, where several share one."""
    by_form: dict[str, set[str]] = defaultdict(set)
    for name in names:
        by_form[form_of(name)].add(name)
    return {form: names for form, names in by_form.items() if len(names) > 1}
