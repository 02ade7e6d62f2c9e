"""Tensors from files, and nothing else: what is in a weight file never runs."""

import hashlib
import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from graft.vision.errors import WeightsError
from graft.vision.records import digest_of_file

State = dict[str, torch.Tensor]


def read_weights(path: Path, sha256: str | None) -> State:
    """Read tensors from a safetensors file or a plain state dict; nothing in it can run.

    Raises:
        WeightsError: when the file is missing, has another digest, or holds more than tensors.
    """
    if not path.is_file():
        raise WeightsError(f"no weight file at {path}", mend="correct backbone.weights")
    found = digest_of_file(path)
    if sha256 is not None and found != sha256:
        raise WeightsError(
            f"{path} is not the weight file it should be",
            found=f"SHA-256 {found}",
            allowed=f"SHA-256 {sha256}",
            mend="bring the right file back, or declare the new digest in backbone.sha256",
        )
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a pickle's protocol; what matters is raised
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise WeightsError(
            f"{path} cannot be read as tensors and nothing else",
            found=_reason(error),
            allowed="safetensors, or a state dict that loads with weights_only",
            mend="bring a whole copy, or convert it to safetensors where it was made",
        ) from error
    return _plain_state(state, path)


def _reason(error: Exception) -> str:
    """What is wrong with a weight file; torch says it behind pages of advice to run it."""
    if isinstance(error, pickle.UnpicklingError):
        named = re.search(r"GLOBAL ([\w.]+)", str(error))
        return f"a pickle that holds more than tensors{f' ({named[1]})' if named else ''}"
    said = re.split(r"\.\s|\n", str(error))[0][:120]
    return f"a damaged or foreign file ({type(error).__name__}{f': {said}' if said else ''})"


def _plain_state(state: Any, path: Path) -> State:
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise WeightsError(f"{path} holds no state dict", found=type(state).__name__)
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def digest_state(state: State) -> str:
    """SHA-256 over names, shapes and bytes of tensors, whatever their order."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}{tuple(tensor.shape)}{tensor.dtype}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
