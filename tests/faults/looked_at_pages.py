"""HTML pages as a parser and as a browser see them."""

import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html.parser import HTMLParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
    "--disable-background-networking", "--disable-component-update",
)  # fmt: skip


class Page(HTMLParser):
    """Tags, attributes, and the text that a reader sees."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.tags.add(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def policy(self) -> dict[str, str]:
        """The rules of its content-security policy."""
        held = next(value for _, value in self.attributes if "default-src" in value)
        return dict(rule.strip().split(" ", 1) for rule in held.split(";"))


@contextmanager
def served(page: bytes) -> Iterator[tuple[str, list[str]]]:
    """The address of a page on the loopback, and all that is asked for there."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.path == "/page.html" else 404)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(page if self.path == "/page.html" else b"")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/page.html", asked
        server.shutdown()


def looked_at(page: bytes) -> tuple[list[str], list[str], str]:
    """What a browser asks for, what it complains of, and the document as it stands then."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no chromium on this machine: pages are checked by their markup alone")
    with served(page) as (address, asked), tempfile.TemporaryDirectory() as profile:
        more = (f"--user-data-dir={profile}", "--enable-logging=stderr", "--dump-dom", address)
        done = subprocess.run([browser, *QUIET, *more], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout, done.stderr[-500:]
    return asked, [line for line in done.stderr.splitlines() if "CONSOLE" in line], done.stdout
