"""Checks an exported folder by itself: no MLflow, no project, no network."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from graft.adapters.export import (
    ANNEX,
    ANNEX_TEXT,
    BOM,
    ENVELOPE,
    MANIFEST,
    MODEL_CARD,
    STATEMENT,
)
from graft.adapters.export.annex import AnnexForm
from graft.adapters.export.bom import files_of
from graft.adapters.export.comparing import Checked
from graft.adapters.export.envelope import envelope_fault
from graft.adapters.export.manifest import manifest_faults
from graft.adapters.export.records import (
    image_faults,
    ledger_faults,
    record_faults,
    registered_faults,
    score_faults,
)
from graft.adapters.export.schemas import bom_faults, form_faults
from graft.adapters.export.statement import Statement, subjects_of
from graft.adapters.lineage import DIGEST_TAG
from graft.adapters.lineage.audit.rows import HOLDS, Fault, Row, compared, judged
from graft.vision.errors import DataError, GraftError


def verify(folder: Path, root: str | None = None, key: Path | None = None) -> dict[str, Any]:
    """``model``, ``version``, ``holds`` and ``rows``, as an audit gives them.

    Args:
        root: the root digest that the registry states, for who does not trust the folder's own.
        key: the signer's public key in PEM; without it a signature is not checked.

    Raises:
        DataError: where the folder holds no export.
    """
    if not (folder / MANIFEST).is_file():
        raise DataError(
            f"{folder} holds no export",
            found=f"no {MANIFEST}",
            mend="write one: kedro model export MODEL --out FOLDER",
        )
    checked = Checked(folder, root, key)
    rows = [_row(name, check, checked) for name, check in CHECKS.items()]
    return {
        **_named(checked),
        "holds": all(row.status == HOLDS for row in rows),
        "rows": [row.record() for row in rows],
    }


def _row(name: str, check: Callable[[Checked], Row], checked: Checked) -> Row:
    """One damaged file must not hide what else is wrong."""
    try:
        return check(checked)
    except (KeyError, TypeError, AttributeError, ValueError, OSError, GraftError) as error:
        found = f"{type(error).__name__}: {error}"
        return judged(name, "", [Fault("a file that this check reads", "readable", found)])


def _named(checked: Checked) -> dict[str, str]:
    try:
        return {name: str(checked.exported.version[name]) for name in ("model", "version")}
    except (KeyError, TypeError, ValueError, OSError):
        return {"model": checked.folder.name, "version": "?"}


def _check_files(checked: Checked) -> Row:
    faults = list(manifest_faults(checked.folder, checked.root))
    if faults:
        return judged("files", "", faults)
    stated = json.loads(checked.text(MANIFEST))
    return judged("files", f"root {stated['root_sha256']}", [], _count(stated["files"], "file"))


def _check_record(checked: Checked) -> Row:
    absent = checked.exported.version["absent"]
    note = f"not to be had any more: {', '.join(absent)}" if absent else ""
    stated = checked.exported.version["tags"][DIGEST_TAG]
    return judged("record", stated, record_faults(checked.exported), note)


def _check_images(checked: Checked) -> Row:
    images = checked.exported.images or {"count": 0}
    return judged("images", f"{images['count']} images", image_faults(checked.exported))


def _check_registered(checked: Checked) -> Row:
    found, left_out = checked.exported.registered, checked.exported.left_out
    note = f"left out, digest kept: {', '.join(left_out)}" if left_out else ""
    faults = registered_faults(checked.exported)
    return judged("registered bytes", _count(found, "file"), faults, note)


def _check_scores(checked: Checked) -> Row:
    said = _count(checked.measured.scores or {}, "score") + ", measured again"
    return judged("scores", said, score_faults(checked.exported, checked.measured))


def _check_ledger(checked: Checked) -> Row:
    faults = list(ledger_faults(checked.exported))
    return judged("ledger", _count([] if faults else checked.exported.entries, "entry"), faults)


def _check_bom(checked: Checked) -> Row:
    text = checked.text(BOM)
    faults = [*bom_faults(text, BOM), *checked.faults(BOM)]
    return judged("bill of materials", "CycloneDX 1.6", faults, checked.note)


def _check_statement(checked: Checked) -> Row:
    text = checked.text(STATEMENT)
    faults = [*form_faults(Statement, text, STATEMENT), *checked.faults(STATEMENT)]
    stated = subjects_of(json.loads(text))
    in_bom = files_of(json.loads(checked.text(BOM)))
    sides = {"registered/": checked.exported.registered, BOM: in_bom}
    for place, found in sides.items():
        faults += [
            Fault(f"{STATEMENT}: subject {each.what} against {place}", each.found, each.expected)
            for each in compared(stated, found)
        ]
    said = f"{len(stated)} subjects, in-toto v1, SLSA v1"
    return judged("statement", said, faults, checked.note)


def _check_signature(checked: Checked) -> Row:
    path, name = checked.folder / ENVELOPE, "signature"
    if not path.is_file():
        unsigned = [Fault(ENVELOPE, "signed by the given key", "no signature")]
        return judged(name, "unsigned", unsigned if checked.key else [])
    statement = (checked.folder / STATEMENT).read_bytes()
    fault = envelope_fault(path.read_bytes(), statement, checked.key)
    faults = [Fault(f"{ENVELOPE}: {fault[0]}", "as signed", fault[1])] if fault else []
    note = "" if checked.key or faults else "the signature itself is not checked: give --key"
    return judged(name, "DSSE, Ed25519", faults, note)


def _check_annex(checked: Checked) -> Row:
    text = checked.text(ANNEX)
    faults = [*form_faults(AnnexForm, text, ANNEX), *checked.faults(ANNEX)]
    faults += checked.faults(ANNEX_TEXT)
    points = json.loads(text)["points"].values()
    fields = [field["status"] for point in points for field in point["fields"].values()]
    counts = {status: fields.count(status) for status in sorted({*fields})}
    said = ", ".join(f"{count} {status}" for status, count in counts.items())
    return judged("Annex IV", said, faults, checked.note)


def _check_model_card(checked: Checked) -> Row:
    return judged("model card", MODEL_CARD, checked.faults(MODEL_CARD), checked.note)


CHECKS: dict[str, Callable[[Checked], Row]] = {
    "files": _check_files,
    "record": _check_record,
    "images": _check_images,
    "registered bytes": _check_registered,
    "scores": _check_scores,
    "ledger": _check_ledger,
    "bill of materials": _check_bom,
    "statement": _check_statement,
    "signature": _check_signature,
    "Annex IV": _check_annex,
    "model card": _check_model_card,
}


def _count(things: Any, word: str) -> str:
    plural = word[:-1] + "ies" if word.endswith("y") else word + "s"
    return f"{len(things)} {word if len(things) == 1 else plural}"
