"""The packages of a lock file, with the digests by which they were pinned."""

import re
from dataclasses import dataclass, field

PIN = re.compile(r"(?P<name>[\w.-]+)(?:\[[^\]]*\])?==(?P<version>[^\s;\\]+)(?P<marker>\s*;[^\\]*)?")
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass
class Pinned:
    """A package of the lock; a digest for each file that was published of this version."""

    name: str
    version: str
    marker: str = ""
    sha256: list[str] = field(default_factory=list)

    @property
    def purl(self) -> str:
        """Its package URL."""
        from packageurl import PackageURL

        return PackageURL("pypi", None, self.name, self.version).to_string()


def pinned_packages(lock: str) -> list[Pinned]:
    """Each pin of a lock in the format of ``pip compile --generate-hashes``, by name."""
    found: dict[str, Pinned] = {}
    current = None
    for line in lock.splitlines():
        if pin := PIN.match(line):
            marker = (pin["marker"] or "").strip(" ;")
            new = Pinned(pin["name"], pin["version"], marker)
            current = found.setdefault(new.purl, new)
        if current is not None:
            current.sha256 += HASH.findall(line)
    return sorted(found.values(), key=lambda each: each.purl)
