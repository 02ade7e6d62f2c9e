"""One retraining of a model at a time, however many schedulers call; a dead one's turn expires."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from graft.adapters.ledger.lease import Lease, LeaseError
from graft.adapters.ledger.ledger import FOLDER
from graft.vision.errors import GraftError

LEASE_S = 60.0
"""Who died in a retraining holds the next one up for no longer than this."""
BEATS = 6
"""How often the turn is prolonged within a lease."""


class TurnTakenError(GraftError):
    """Another is at it, or has taken over what this one had begun."""


class Turn:
    """The turn to retrain a model, prolonged while its holder lives.

    A holder that was paused for longer than the lease has lost it, and must ask by `check` before
    it moves anything.
    """

    def __init__(self, lease: Lease) -> None:
        self._lease = lease
        self._over = threading.Event()
        self._lost = False
        self._beat = threading.Thread(target=self._keep, name="retrain-lease", daemon=True)

    def check(self) -> None:
        """Raise `TurnTakenError` when the turn was lost meanwhile."""
        try:
            with self._lease.certain():
                lost = self._lost
        except LeaseError:
            lost = True
        if lost:
            raise TurnTakenError("another scheduler has taken over this retraining")

    def start(self) -> None:
        """Begin to prolong."""
        self._beat.start()

    def end(self) -> None:
        """Prolong no more."""
        self._over.set()
        self._beat.join()

    def _keep(self) -> None:
        while not self._over.wait(self._lease.lease_s / BEATS):
            try:
                with self._lease.certain():
                    pass
            except LeaseError:
                self._lost = True
                return


@contextmanager
def turn_to_retrain(project: Path, model: str, lease_s: float = LEASE_S) -> Iterator[Turn]:
    """The turn, for the block. Raises `TurnTakenError` at once where another has it."""
    lease = Lease(project / FOLDER / f"{model}.retrain.lock", lease_s, patience_s=0)
    with ExitStack() as held:
        try:
            held.enter_context(lease.held())
        except LeaseError as error:
            raise TurnTakenError(str(error)) from error
        turn = Turn(lease)
        turn.start()
        held.callback(turn.end)
        yield turn
