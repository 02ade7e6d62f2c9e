"""Every fact of a record, looked at again: data, code, configuration, weights, registered bytes."""

from graft.adapters.lineage.audit.rows import DIFFERS, HOLDS, UNRECORDED, Fault, Row
from graft.adapters.lineage.audit.whole import audit_version, rows_text

__all__ = ["DIFFERS", "HOLDS", "UNRECORDED", "Fault", "Row", "audit_version", "rows_text"]
