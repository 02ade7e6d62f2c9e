"""What torch draws by chance, to be drawn once more."""

import torch


class Chance:
    """The state of torch's generators, here and on a GPU, as it is when this is made.

    As a context: what is drawn by chance within is drawn again after it.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._here = device, torch.get_rng_state()
        self._there = torch.cuda.get_rng_state(device) if device.type == "cuda" else None

    def put_back(self) -> None:
        """Give the generators this state again."""
        torch.set_rng_state(self._here)
        if self._there is not None:
            torch.cuda.set_rng_state(self._there, self._device)

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        self.put_back()
