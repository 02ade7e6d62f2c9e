"""graft: a vision task grafted onto a pre-trained backbone, with proof of what was done."""

import os

__version__ = "0.1.0"

# Nothing asks the network unless the user says so; each must be set before its library is imported.
for _switch, _value in {
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}.items():
    os.environ.setdefault(_switch, _value)
