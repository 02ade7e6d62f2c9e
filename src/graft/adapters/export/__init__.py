"""One folder that shows what a registered version is, and can be checked offline.

`writing.export_version` writes it; `verifying.verify` needs the folder alone. Documents are made of
the folder's own records, so that a check makes them again and names each field that differs.
"""

from graft.adapters.layers import LOCK as LOCK

LINEAGE, REGISTERED, SCHEMAS = "lineage", "registered", "schemas"
"""Folders: what was recorded; the registered bytes; schemas of the documents."""
BOM, STATEMENT, ENVELOPE = "bom.cdx.json", "statement.intoto.json", "statement.dsse.json"
MODEL_CARD, ANNEX, ANNEX_TEXT = "model_card.md", "annex_iv.json", "annex_iv.md"
MANIFEST = "MANIFEST.sha256.json"
VERSION, DECLARED, LEDGER = "version.json", "declared.json", "ledger.jsonl"
"""In the folder of records: what the registry says of the version, what people declared, and who
promoted it."""
DIFF = "uncommitted.diff"
ROOT_TAG = "export.root_sha256"
"""The tag of a version that holds the root digest of its last export."""
