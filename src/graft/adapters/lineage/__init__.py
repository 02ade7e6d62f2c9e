"""The lineage record of a registered version: written when it is registered, re-checked by audits.

Every fact is bound by SHA-256 to content and not to names; a fact that was not recorded reads
``unknown``.
"""

from graft.adapters.tracking.version import UNKNOWN as UNKNOWN

RECORD = "lineage.json"
IMAGES = "lineage_images.parquet"
"""Every image with its digest, split and truth."""
FILES = "lineage_files.parquet"
"""Every other file below the task's raw folder: what annotators wrote, what was refused."""
DIGEST_TAG = "lineage_sha256"
"""The tag of a version that holds the SHA-256 of its record."""
RUN_TAG = "lineage_run"
"""The tag of a version that names the run which wrote the record."""
FOLDER = "lineage"
"""Below the models of a case and task in data/: the records, by version."""
