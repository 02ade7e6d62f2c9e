"""Who promoted a version, when and why; and what was live when it was registered."""

from graft.adapters.ledger.ledger import FOLDER, Ledger, champions
from graft.adapters.lineage.audit.case import Audited
from graft.adapters.lineage.audit.rows import Fault, Row, judged
from graft.vision.errors import GraftError


def check_promotion(case: Audited) -> Row:
    """Who or what promoted it, when and why; and whether MLflow's alias says the same."""
    fact, number = "promotion", str(case.version.version)
    try:
        moves = champions(Ledger(case.project / FOLDER, case.version.name).entries)
    except GraftError as error:
        return judged(fact, "the ledger", [Fault("ledger", "as written", str(error))])
    own = next((move for move in reversed(moves) if move["version"] == number), None)
    stands = bool(moves) and moves[-1]["version"] == number
    aliased = "champion" in case.version.aliases
    faults = []
    if aliased != stands:
        says = {True: "champion", False: "not champion"}
        faults.append(Fault("alias champion in MLflow", says[stands], says[aliased]))
    if own is None:
        return judged(fact, "not promoted", faults)
    said = f"{own['action']} by {own['actor']} at {own['time']}: {own['reason']}"
    return judged(fact, f"{said}; it replaced {own['replaced'] or 'nothing'}", faults)


def check_live(case: Audited) -> Row:
    """What was live when it was registered."""
    said = case.record["live"]
    names = ", ".join(f"{alias}: {version}" for alias, version in said.items())
    return judged("live at registration", names, [])
