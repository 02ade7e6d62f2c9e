"""The outside-world room: Kedro datasets and hooks, MLflow, DVC, Git.

It moves records and computes nothing.
"""

import os

# No model of graft is a pickle, and none that is one may run its code where graft works.
os.environ.setdefault("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
