"""What is tracked holds no secret and no trace of a machine; what is installed is what is locked.

All of it offline: no index is asked.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[2]
LISTED = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
LARGEST = 5_000_000
"""Bytes of a tracked file that is looked through."""

# --- secrets -------------------------------------------------------------------------------------

# Written in pieces, so that this file is not one of its own findings.
SECRETS = {
    "key of a cloud": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b|\bAIza[0-9A-Za-z_-]{35}\b",
    "token of a forge": r"\b(gh[pousr]|github_pat|glpat)[_-][0-9A-Za-z_-]{20,}",
    "token of a service": r"\b(xox[baprs]|sk|hf|pypi)[-_][0-9A-Za-z_-]{24,}",
    "private key": r"-----BEGIN" + r" ([A-Z]+ )*PRIVATE KEY-----",
    "web token": r"\beyJ[0-9A-Za-z_-]{10,}\.eyJ[0-9A-Za-z_-]{10,}\.",
    "password": r"(?i)\b(password|passwd|secret|api_?key|auth_?token)\b\s*[:=]\s*"
    + r"['\"][^'\"\s]{8,}['\"]",
    "name and password in an address": r"\w://[^/\s:@'\"{}]+:[^/\s@'\"{}]+@(?!127\.0\.0\.1|localhost)",
}
TRACES = {
    "index of packages": r"pypi"
    + r"\.org|python"
    + r"hosted\.org|npm"
    + r"js\.org"
    + r"|--(extra-)?index"
    + r"-url",
    "folder of a machine": r"(?<![\w.])/(work|root|mnt|Users)" + r"/\w|/home" + r"/(?!x/|name/)\w",
}
PLANTED = {
    "key of a cloud": "AKIA" + "A" * 16,
    "token of a forge": "ghp_" + "a" * 36,
    "token of a service": "hf_" + "a" * 34,
    "private key": "-----BEGIN" + " RSA PRIVATE KEY-----",
    "web token": "eyJ" + "a" * 12 + ".eyJ" + "a" * 12 + ".x",
    "password": "password" + " = 'correct horse'".replace(" h", "h"),
    "name and password in an address": "https" + "://me:mine@host",
    "index of packages": "https://pypi" + ".org/simple",
    "folder of a machine": "'/root" + "/project'",
}


def tracked() -> Iterator[tuple[str, str]]:
    """Each file that Git keeps, or would on `git add`, and its text; skips outside a checkout."""
    asked = subprocess.run(LISTED, cwd=ROOT, capture_output=True, text=True)
    if asked.returncode != 0:
        pytest.skip("no Git checkout: nothing says which files are tracked")
    for name in filter(None, asked.stdout.split("\0")):
        path = ROOT / name
        if path.is_file() and path.stat().st_size <= LARGEST:
            data = path.read_bytes()
            if b"\0" not in data[:8192]:
                yield name, data.decode("utf-8", "replace")


@pytest.mark.parametrize("kind", [*SECRETS, *TRACES])
def test_scan__finds_what_is_planted(kind: str) -> None:
    assert re.search({**SECRETS, **TRACES}[kind], f"x {PLANTED[kind]} y")


def test_repository__holds_no_secret_and_no_trace_of_a_machine() -> None:
    patterns = {kind: re.compile(pattern) for kind, pattern in {**SECRETS, **TRACES}.items()}
    found, count = [], 0
    for name, text in tracked():
        count += 1
        for number, line in enumerate(text.splitlines(), start=1):
            found += [
                f"{name}:{number}: {kind}"
                for kind, pattern in patterns.items()
                if pattern.search(line)
            ]
    assert count > 300
    assert found == []


# --- what is locked and installed ----------------------------------------------------------------

BESIDE_LOCK = {"graft", "pip"}
"""Installed by the Makefile and not by the lock."""
REFUSED_LICENCES = re.compile(
    r"\bAGPL|Affero|\bSSPL|Server Side Public|\bBUSL\b|Business Source|Commons Clause|"
    r"\bCC[- ]BY[- ]NC|PolyForm|Non-?Commercial",
    re.I,
)
NAMED_LICENCES = {
    "cuda-toolkit": "NVIDIA; holds no file of its own, and names others that state theirs",
    "graft": "this project",
}
"""Where a package states none."""


def locked() -> dict[str, list[tuple[Requirement, int]]]:
    """Requirements by name with the number of their hashes; there is nothing else in the lock."""
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    found: dict[str, list[tuple[Requirement, int]]] = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        stated, *hashes = line.split("--hash=")
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", part) for part in hashes), line[:80]
        requirement = Requirement(stated)
        found.setdefault(canonicalize_name(requirement.name), []).append((requirement, len(hashes)))
    return found


def installed() -> dict[str, Distribution]:
    return {canonicalize_name(found.metadata["Name"]): found for found in distributions()}


def test_lock__pins_one_version_by_hashes_and_names_no_index() -> None:
    entries = [entry for found in locked().values() for entry in found]
    assert len(entries) > 200
    for requirement, hashes in entries:
        assert hashes and requirement.url is None, requirement
        assert [pin.operator for pin in requirement.specifier] == ["=="], requirement


def test_installed__is_what_is_locked() -> None:
    wanted = {
        name: requirement
        for name, found in locked().items()
        for requirement, _ in found
        if requirement.marker is None or requirement.marker.evaluate()
    }
    here = installed()
    missing = sorted(wanted.keys() - here.keys())
    beside = sorted(here.keys() - wanted.keys() - BESIDE_LOCK)
    differing = [
        f"{name} {here[name].version} for {wanted[name].specifier}"
        for name in sorted(wanted.keys() & here.keys())
        if not wanted[name].specifier.contains(here[name].version, prereleases=True)
    ]
    assert (missing, beside, differing) == ([], [], []), "next: make setup"


def licence_of(found: Distribution) -> str:
    """What a package says of its terms: its expression, its classifiers, or its licence file."""
    said = found.metadata
    stated = [said.get("License-Expression") or "", (said.get("License") or "")[:200]]
    stated += [c for c in said.get_all("Classifier") or [] if c.startswith("License ::")]
    text = " ".join(filter(None, stated)).replace("License :: OSI Approved", "")
    if text.strip(" :"):
        return text
    files = [f for f in found.files or [] if re.match(r"(LICEN[CS]E|COPYING)", f.name, re.I)]
    return files[0].read_text()[:2000] if files and files[0].locate().is_file() else ""  # type: ignore[attr-defined]


def test_licences__are_known_and_none_is_refused() -> None:
    terms = {
        name: licence_of(found) or NAMED_LICENCES.get(name, "")
        for name, found in installed().items()
    }
    assert sorted(name for name, text in terms.items() if not text) == []
    assert {n: t[:80] for n, t in terms.items() if REFUSED_LICENCES.search(t)} == {}
    for text in (
        "AGPL-3.0-only",
        "GNU Affero General Public License",
        "Apache-2.0 WITH Commons Clause",
    ):
        assert REFUSED_LICENCES.search(text)


def test_versions__of_known_faults_are_neither_locked_nor_installed() -> None:
    known = json.loads((Path(__file__).parent / "refused_versions.json").read_text())
    here, pinned = installed(), locked()
    for fault in known["faults"]:
        name, below = canonicalize_name(fault["package"]), Version(fault["below"])
        told = f"{name} below {below}: {fault['id']}, {fault['what']}"
        assert Version(here[name].version) >= below, told
        versions = [Version(pin.version) for req, _ in pinned[name] for pin in req.specifier]
        assert versions and min(versions) >= below, told


# --- servers -------------------------------------------------------------------------------------


WIDE = re.compile(r"0\.0\.0\.0|--host[= ](?!127\.0\.0\.1|localhost)|\[::\]")
BINDING = re.compile(r"HTTPServer\(|socketserver|\.bind\(|uvicorn|app\.run\(")


def test_server__is_started_on_the_loopback_and_nowhere_else() -> None:
    """By code, and by every command that the documentation tells to type; MLflow's own default is
    the loopback."""
    for name, text in tracked():
        assert name.startswith("tests/faults/test_security") or not WIDE.search(text), name
        assert not (name.startswith("src/") and BINDING.search(text)), name


@pytest.mark.parametrize("command", ["mlflow.cli:server", "mlflow.models.cli:serve"])
def test_mlflow__binds_to_the_loopback_by_default(command: str) -> None:
    module, _, name = command.partition(":")
    (host,) = [p for p in getattr(import_module(module), name).params if p.name == "host"]
    assert host.default == "127.0.0.1" or host.default is None
    assert "127.0.0.1" in host.help
