"""How a promotion or a rollback ends, in one word for programs."""

PROMOTED, REFUSED, STANDS_ALREADY = "promoted", "refused", "stands already"
ROLLED_BACK = "rolled back"
SUPERSEDED = "superseded"
"""Another was faster: nothing was moved."""
