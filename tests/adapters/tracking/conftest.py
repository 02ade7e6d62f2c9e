"""Cases are shared with the tests of pipelines."""

import sys
from pathlib import Path

sys.path += [str(Path(__file__).resolve().parents[2] / "pipelines")]
