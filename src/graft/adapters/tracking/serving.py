"""The registered model as MLflow loads it: from this code, safetensors and JSON, never a pickle."""

import base64
import hashlib
import json
import os
import sys
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException

COLUMNS = ("image", "path")
MANIFEST = "sha256.json"
SERVED_FOLDER = "GRAFT_SERVED_FOLDER"


class GraftedImageModel(mlflow.pyfunc.PythonModel):
    """Images in, predictions with calibrated probabilities out: the columns of the signature.

    Input columns, one of them per row and the other empty: ``image`` (bytes of a file; base64 in a
    request) or ``path`` (of a file that this process can read; below the folder that the
    environment variable GRAFT_SERVED_FOLDER names, where it is set). An image that cannot be used
    gets its reason in ``error`` and nothing else, so that one bad file does not stop the others.

    What a task may be asked for beside images (``mask_format`` of masks) are ``params``. In the
    answer to a request bytes are base64, and what is missing is null.
    """

    def load_context(self, context):
        """Load weights and card."""
        files = Path(context.artifacts["model"])
        _refuse_altered(files)
        _complete(files.parents[1] / "code")
        from graft.vision.tasks import load_trained

        self._model = load_trained(files)

    def predict(self, context, model_input: pd.DataFrame, params=None):
        """One row per input row, in the same order."""
        from graft.vision.errors import OptionsError
        from graft.vision.serving import answer_images

        try:
            table = answer_images(self._model, _images(model_input), params)
        except OptionsError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from error
        # A server answers in JSON, which has no NaN; a program wants columns of numbers.
        return _as_json(table) if _in_server() else table


def _refuse_altered(files):
    """Compare every file with its registered SHA-256, before any tensor is built."""
    registered = json.loads((files / MANIFEST).read_text())
    paths = [path for path in files.rglob("*") if path.is_file() and path.name != MANIFEST]
    actual = {
        path.relative_to(files).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in paths
    }
    for name in sorted({*registered, *actual}):
        if registered.get(name) != actual.get(name):
            raise MlflowException(
                f"{name} is not what was registered; nothing of it was loaded; "
                f"found: {actual.get(name, 'no such file')}; "
                f"allowed: {registered.get(name, 'no such file')}; "
                "next: register the model again from its run."
            )


def _complete(code):
    """Let packages that came with a model of another task find what only this model brought.

    MLflow puts each model's code on the path, but a process imports a package from one place.
    """
    for name, module in list(sys.modules.items()):
        part = code.joinpath(*name.split("."))
        if name.partition(".")[0] == "graft" and part.is_dir():
            module.__path__ = list(dict.fromkeys([*module.__path__, str(part)]))


def _as_json(table):
    coded = table.map(lambda x: base64.b64encode(x).decode() if isinstance(x, bytes) else x)
    return coded.astype(object).where(coded.notna(), None)


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
            yield _file(path) if isinstance(path, str) and path else None


def _file(path):
    """Where it lies; its refusal where those who ask may not see it."""
    from graft.vision.errors import UnusableImageError

    folder = os.environ.get(SERVED_FOLDER)
    try:
        if not folder or Path(path).resolve().is_relative_to(Path(folder).resolve()):
            return Path(path)
    except (OSError, RuntimeError, ValueError):  # a name too long, links in a circle, a zero byte
        pass
    return UnusableImageError("the path lies outside the served folder", mend="send its bytes")


def _plain(data):
    """Bytes of a file; MLflow leaves base64 as it is where a request names its data ``inputs``."""
    try:
        return base64.b64decode(data, validate=True)
    except ValueError:
        return data


def _in_server():
    return os.environ.get("_MLFLOW_IS_IN_SERVING_ENVIRONMENT", "").lower() == "true"


mlflow.models.set_model(GraftedImageModel())
