"""The registered model as MLflow loads it: from this code, safetensors and JSON, never a pickle."""

import base64
import os
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException

COLUMNS = ("image", "path")


class GraftedImageModel(mlflow.pyfunc.PythonModel):
    """Images in, predictions with calibrated probabilities out.

    Input columns, one of them per row and the other empty: ``image`` (bytes of a file; base64 in a
    request) or ``path`` (of a file that this process can read). An image that cannot be used gets
    its reason in ``error`` and nothing else, so that one bad file does not stop the others.
    """

    def load_context(self, context):
        """Load weights and card."""
        from graft.vision.tasks import load_trained

        self._model = load_trained(Path(context.artifacts["model"]))

    def predict(self, context, model_input: pd.DataFrame, params=None):
        """One row per input row, in the same order."""
        from graft.vision.serving import predict_images

        table = predict_images(self._model, _images(model_input))
        # A server answers in JSON, which has no NaN; a program wants columns of numbers.
        return table.astype(object).where(table.notna(), None) if _in_server() else table


def _images(table):
    if not isinstance(table, pd.DataFrame):
        table = pd.DataFrame({"image": list(table)})
    columns = [name for name in COLUMNS if name in table]
    if not columns:  # MLflow drops columns that it does not know, and with the last all rows
        raise MlflowException.invalid_parameter_value(
            "no column holds images; allowed: image (a file's bytes, base64 in a request) or path; "
            "next: name a column so, also where there is no row."
        )
    for row in table[columns].to_dict("records"):
        data, path = row.get("image"), row.get("path")
        if isinstance(data, bytes | bytearray | memoryview) and len(data):
            yield _plain(bytes(data))
        else:
            yield Path(path) if isinstance(path, str) and path else None


def _plain(data):
    """Bytes of a file; MLflow leaves base64 as it is where a request names its data ``inputs``."""
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        return data


def _in_server():
    return os.environ.get("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "").lower() == "true"


mlflow.models.set_model(GraftedImageModel())
