"""The schemas of the documents: CycloneDX's own, and the forms that are stated here."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from graft.adapters.export.annex import AnnexForm
from graft.adapters.export.statement import Statement
from graft.adapters.lineage.audit.rows import Fault

NOTICE = """\
bom-1.6, spdx, jsf-0.82: of CycloneDX (https://github.com/CycloneDX/specification), Apache-2.0,
as cyclonedx-python-lib ships them. statement, annex_iv: of graft, after the specifications.
"""


def schema_files() -> dict[str, str]:
    """What lies in the folder of schemas, by name."""
    own: dict[str, type[BaseModel]] = {
        "statement.schema.json": Statement,
        "annex_iv.schema.json": AnnexForm,
    }
    return {
        **{path.name: path.read_text() for path in _published()},
        **{name: json.dumps(form.model_json_schema(), indent=2) for name, form in own.items()},
        "NOTICE.txt": NOTICE,
    }


def bom_faults(text: str, name: str) -> Iterator[Fault]:
    """Where a BOM breaks CycloneDX's published schema, by path."""
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    for error in JsonStrictValidator(SchemaVersion.V1_6).validate_str(text, all_errors=True) or ():
        found: Any = error.data
        yield Fault(f"{name}: {found.json_path}", "CycloneDX 1.6", found.message[:200])


def form_faults(form: type[BaseModel], text: str, name: str) -> Iterator[Fault]:
    """Where a document breaks the form that is stated here, by path."""
    try:
        form.model_validate_json(text)
    except ValidationError as error:
        for fault in error.errors():
            place = ".".join(map(str, fault["loc"]))
            yield Fault(f"{name}: {place}", form.__name__, fault["msg"])


def _published() -> Iterator[Path]:
    import cyclonedx.schema

    folder = Path(cyclonedx.schema.__file__).parent / "_res"
    for name in ("bom-1.6", "spdx", "jsf-0.82"):
        yield folder / f"{name}.SNAPSHOT.schema.json"
