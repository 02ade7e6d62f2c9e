"""Writes down every name and address beyond this machine that a process asks for.

Python imports this by itself in processes, and in theirs, that find it on PYTHONPATH; GRAFT_WATCHED
names the file.
"""

import os
import sys
from pathlib import Path
from typing import Any

LOG = Path(os.environ["GRAFT_WATCHED"])
HERE = ("127.", "::1", "localhost")


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.getaddrinfo":
        asked = arguments[0]
    elif event in ("socket.connect", "socket.sendto") and isinstance(arguments[1], tuple):
        asked = arguments[1][0]
    else:  # other events, and sockets that are files
        return
    name = asked.decode() if isinstance(asked, bytes) else str(asked)
    if not name.startswith(HERE):
        with LOG.open("a") as log:
            log.write(f"{event} {name} {sys.argv[:2]}\n")


LOG.touch()
sys.addaudithook(_note)
