"""What things cost, side by side with the usual way: ``python -m bench [NAME...]``."""

from importlib import import_module
from typing import Any


def measure(name: str) -> dict[str, Any]:
    """Run one bench here. In no ``__main__``, so that a process that is spawned finds it."""
    found: dict[str, Any] = import_module(f"bench.{name}").measure(_say)
    return found


def _say(text: str) -> None:
    print(text, flush=True)
