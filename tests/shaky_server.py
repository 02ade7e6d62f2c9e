"""MLflow's own server in a process of its own, which answers, fails, hangs or is gone as is said.

    python shaky_server.py FOLDER PORT

Reads one JSON object per line, the `Mood` that it shall have, and answers with how many requests it
had in the one before.
"""

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import requests

Start = Callable[[str, list[tuple[str, str]]], Any]
SETTINGS = {
    "_MLFLOW_SERVER_FILE_STORE": "sqlite:///{}/server.db",
    "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
    "_MLFLOW_SERVER_ARTIFACT_DESTINATION": "{}/artifacts",
    "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
}


@dataclass(frozen=True)
class Mood:
    """How a server answers.

    Attributes:
        how: ``well``, ``failing`` (answers 500), ``hanging`` (accepts and never answers), ``gone``
            (refuses connections).
        well_first: it answers so many requests well before it is as ``how`` says.
        slow_s: seconds that each change takes; questions are answered at once.
        kills: a process that is killed at the request of number ``kills_at``, ``before`` that is
            worked on or ``after`` it is, and in either case before it is answered.
    """

    how: str = "well"
    well_first: int = 0
    slow_s: float = 0.0
    kills: int = 0
    kills_at: tuple[int, str] = (0, "before")


class ShakyServer:
    """A server that can go and come back at one address, as a test holds it."""

    def __init__(self, folder: Path) -> None:
        with closing(socket.socket()) as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        self.uri = f"http://127.0.0.1:{port}"
        command = [sys.executable, __file__, str(folder), str(port)]
        with (folder / "log").open("w") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def become(self, how: str, **mood: Any) -> int:
        """Change at once, as a `Mood` says; what hangs is let go. Returns the requests till now."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(json.dumps(asdict(Mood(how, **mood))), file=self._process.stdin, flush=True)
        return int(self._process.stdout.readline())

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()


@contextmanager
def shaky_server(folder: Path) -> Iterator[ShakyServer]:
    """A server that is well, until the block ends."""
    server = ShakyServer(folder)
    try:
        server.become("well")
        # Its first answer takes the time of an import and of a database.
        asked = f"{server.uri}/api/2.0/mlflow/experiments/get?experiment_id=0"
        assert requests.get(asked, timeout=60).ok
        yield server
    finally:
        server.end()


class Serving:
    """The server itself."""

    def __init__(self, port: int) -> None:
        self._port, self._mood, self._number = port, Mood(), 0
        self._released, self._changing = threading.Event(), threading.Lock()
        self._server: Any = None

    def become(self, mood: Mood) -> int:
        """Change at once; returns the requests till now."""
        self._mood, number, self._number = mood, self._number, 0
        self._released.set()
        self._released = threading.Event()
        if mood.how == "gone" and not mood.well_first:
            self._stop()
        else:
            self._listen()
        return number

    def _listen(self) -> None:
        from werkzeug.serving import make_server

        with self._changing:
            if self._server is None:
                self._server = make_server("127.0.0.1", self._port, self._answer, threaded=True)
                self._server.daemon_threads = True
                serve = partial(self._server.serve_forever, poll_interval=0.02)
                threading.Thread(target=serve, daemon=True).start()

    def _stop(self) -> None:
        with self._changing:
            server, self._server = self._server, None
            if server is not None:
                server.shutdown()
                server.server_close()

    def _answer(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        from mlflow.server import app

        self._number += 1
        number, mood, released = self._number, self._mood, self._released
        if mood.how == "well" or number <= mood.well_first:
            self._kill(mood, number, "before")
            if environ["REQUEST_METHOD"] != "GET":
                time.sleep(mood.slow_s)
            answer = list(app(environ, start))
            self._kill(mood, number, "after")
            return answer
        if mood.how == "gone":
            threading.Thread(target=self._stop, daemon=True).start()
            environ["werkzeug.socket"].close()
            raise ConnectionError("died before it answered")
        if mood.how == "hanging":
            released.wait(60)
        start("500 Internal Server Error", [("Content-Type", "text/plain")])
        return [b"out of order"]

    def _kill(self, mood: Mood, number: int, moment: str) -> None:
        if mood.kills and mood.kills_at == (number, moment):
            os.kill(mood.kills, signal.SIGKILL)


def main(folder: str, port: str) -> None:
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    for name, value in SETTINGS.items():
        os.environ[name] = value.format(folder)
    serving = Serving(int(port))
    for line in sys.stdin:
        said = json.loads(line)
        print(serving.become(Mood(**{**said, "kills_at": tuple(said["kills_at"])})), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
