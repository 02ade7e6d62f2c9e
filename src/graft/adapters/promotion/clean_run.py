"""Run by ``python -I``: load a registered folder as its users do, and say what it predicts.

Knows nothing of the project that asks: graft is the copy that was registered with the model.
"""

import json
import sys
from pathlib import Path


def main(request: str, answer: str) -> None:
    """Read what is asked (``model``, ``images``, ``threads``), write the predictions as parquet."""
    asked = json.loads(Path(request).read_text())
    import torch

    if asked["threads"]:
        torch.set_num_threads(asked["threads"])
    import mlflow.pyfunc

    model = Path(asked["model"])
    mlflow.pyfunc.load_model(str(model))
    import graft
    from graft.vision.serving import predict_images
    from graft.vision.tasks import load_trained

    if not Path(str(graft.__file__)).is_relative_to(model):
        raise ImportError(f"graft came from {graft.__file__}, not from the registered code")
    trained = load_trained(model / "artifacts" / "model")
    predict_images(trained, [Path(path) for path in asked["images"]]).to_parquet(answer)


if __name__ == "__main__":
    main(*sys.argv[1:])
