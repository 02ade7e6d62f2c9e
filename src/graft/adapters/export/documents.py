"""The documents of an export, made of its own records: by who writes it and by who checks it."""

import json

from graft.adapters.export import (
    ANNEX,
    ANNEX_TEXT,
    BOM,
    ENVELOPE,
    MANIFEST,
    MODEL_CARD,
    STATEMENT,
)
from graft.adapters.export.annex import annex_of, annex_text
from graft.adapters.export.bom import bom_of
from graft.adapters.export.model_card import model_card_of
from graft.adapters.export.reading import Exported
from graft.adapters.export.scores import Measured
from graft.adapters.export.statement import statement_of
from graft.vision.records import digests_below

LAST = (STATEMENT, ENVELOPE, MANIFEST)
"""What states digests of the rest."""


def documents_of(exported: Exported, measured: Measured) -> dict[str, str]:
    """The text of each document by its name, from the records that lie in the folder."""
    annex = annex_of(exported, measured)
    return {
        BOM: text_of(bom_of(exported, measured)),
        MODEL_CARD: model_card_of(exported, measured),
        ANNEX: text_of(annex),
        ANNEX_TEXT: annex_text(annex),
    }


def statement_text(exported: Exported) -> str:
    """The text of the statement, which is written after the documents that it names."""
    files = digests_below(exported.folder)
    return text_of(statement_of(exported, {n: sha for n, sha in files.items() if n not in LAST}))


def text_of(value: object) -> str:
    """JSON as every document here is written."""
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
