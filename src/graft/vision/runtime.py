"""The one place that knows which device this machine has."""

import platform
from dataclasses import asdict, dataclass

import torch


@dataclass(frozen=True, slots=True)
class MachineClass:
    """What decides whether two runs can be bitwise equal."""

    device: str
    torch: str
    threads: int
    instruction_set: str
    python: str
    accelerator: str


def device_name(asked: str = "auto") -> str:
    """Return ``cuda``, ``mps`` or ``cpu``: the one asked for, or the best that is there."""
    if asked != "auto":
        return asked
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def machine_class() -> MachineClass:
    """Describe this machine as a run record needs it."""
    device = device_name()
    return MachineClass(
        device=device,
        torch=torch.__version__,
        threads=torch.get_num_threads(),
        instruction_set=_instruction_set(),
        python=platform.python_version(),
        accelerator=torch.cuda.get_device_name() if device == "cuda" else "none",
    )


def _instruction_set() -> str:
    """As torch names it, with what else decides which kernels run."""
    asked = {
        "VNNI": "_is_vnni_supported",
        "BF16": "_is_avx512_bf16_supported",
        "AMX": "_is_amx_tile_supported",
    }
    more = [name for name, ask in asked.items() if getattr(torch.cpu, ask, bool)()]
    return " ".join([torch.backends.cpu.get_cpu_capability(), *more])


def machine_record() -> dict[str, object]:
    """`machine_class` as a plain mapping."""
    return asdict(machine_class())


def computes_bf16_fast(device: str) -> bool:
    """Whether the device multiplies bf16 by hardware, and not by way of fp32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device != "cpu":
        return False
    # Public names for these came late: torch.cpu.get_capabilities is of 2.13.
    asked = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, name, bool)() for name in asked)
