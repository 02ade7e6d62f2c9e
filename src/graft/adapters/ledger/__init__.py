"""Who promoted what, when and why: append-only, each line bound to the one before by its hash."""

from graft.adapters.ledger.chain import Entry, LedgerError
from graft.adapters.ledger.lease import Lease, LeaseError
from graft.adapters.ledger.ledger import Ledger

__all__ = ["Entry", "Lease", "LeaseError", "Ledger", "LedgerError"]
