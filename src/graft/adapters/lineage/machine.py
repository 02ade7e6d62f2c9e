"""The machine class of a run: what decides whether two runs can be bitwise equal."""

from collections.abc import Mapping

from graft.adapters.lineage import UNKNOWN

CLASS = ("device", "torch", "threads", "instruction_set", "python", "accelerator")


def class_of(machine: Mapping[str, object] | str) -> dict[str, str]:
    """The part of a machine's facts that makes its class; empty where nothing is known."""
    if isinstance(machine, str):
        return {}
    return {name: str(machine.get(name, UNKNOWN)) for name in CLASS}


def this_class() -> dict[str, str]:
    """The class of this process."""
    from graft.vision.runtime import machine_record

    return class_of(machine_record())
