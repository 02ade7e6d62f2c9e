"""The registered model as MLflow loads it: from this code, safetensors and JSON, never a pickle."""

from pathlib import Path

import mlflow
import pandas as pd


class GraftedImageModel(mlflow.pyfunc.PythonModel):
    """Images in, predictions with calibrated probabilities out.

    Input columns, one of them per row: ``image`` (bytes of a file) or ``path`` (of a file that
    this process can read). An image that cannot be used gets its reason in ``error`` and nothing
    else, so that one bad file does not stop the others.
    """

    def load_context(self, context):
        """Load weights and card."""
        from graft.vision.tasks import load_trained

        self._model = load_trained(Path(context.artifacts["model"]))

    def predict(self, context, model_input, params=None):
        """One row per input row, in the same order."""
        from graft.vision.serving import predict_images

        return predict_images(self._model, list(_image_bytes(model_input)))


def _image_bytes(table):
    if not isinstance(table, pd.DataFrame):
        table = pd.DataFrame({"image": list(table)})
    for row in table.to_dict("records"):
        data, path = row.get("image"), row.get("path")
        if isinstance(data, bytes | bytearray | memoryview):
            yield bytes(data)
        elif isinstance(path, str) and path:
            yield Path(path)
        else:
            yield b""


mlflow.models.set_model(GraftedImageModel())
