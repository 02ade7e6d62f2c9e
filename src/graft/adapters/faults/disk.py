"""Disks that are full, closed or broken, whoever says so."""

import errno
import os
import re

from graft.vision.errors import GraftError

FREE = "free space and run again; nothing that was there is lost"
ALLOW = "allow it, or keep the project elsewhere, and run again"
CLEAR = "move what lies there out of the way and run again"
REASONS = {
    errno.ENOSPC: ("the disk is full", FREE),
    errno.EDQUOT: ("the quota of disk space is used up", FREE),
    errno.EFBIG: ("files may not grow as large as needed", "raise the limit (ulimit -f)"),
    errno.EROFS: ("it may only be read, not written", ALLOW),
    errno.EIO: ("the disk fails", "check the disk or the connection to it, and run again"),
    errno.EACCES: ("no permission", ALLOW),
    errno.EPERM: ("no permission", ALLOW),
    errno.EISDIR: ("a folder stands where a file should be", CLEAR),
    errno.ENOTDIR: ("a file stands where a folder should be", CLEAR),
    errno.EEXIST: ("a file stands where a folder should be", CLEAR),
    errno.EMFILE: ("too many files are open", "raise the limit (ulimit -n)"),
}
"""What an error number means for a user, and what to do next."""

SAID_IN_WORDS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""Numbers that safetensors, torch and shutil tell in the text of errors of their own."""


def explain_disk(chain: list[BaseException]) -> str | None:
    """The message of the first error that tells of the disk, by number before words."""
    for error in chain:
        if isinstance(error, OSError) and error.errno in REASONS:
            return _message(error.errno, error.filename, error.strerror, chain)
    for error in chain:
        number = next((n for n in SAID_IN_WORDS if os.strerror(n) in str(error)), None)
        if number is not None:
            said = str(chain[-1]).partition("\n")[0][:200]
            return _message(number, None, said, chain)
    return None


def _message(number: int, place: object, found: object, chain: list[BaseException]) -> str:
    what, mend = REASONS[number]
    where = f"{place}: {what}" if place else f"{what}{_while(chain)}"
    return str(GraftError(where, found=found, mend=mend))


def _while(chain: list[BaseException]) -> str:
    """What was going on, as Kedro describes the dataset or the hook noted the step."""
    dataset = re.search(r"(?:filepath|folder)='([^']+)'", " ".join(map(str, chain)))
    if dataset:
        return f" (while {dataset[1]} was saved or loaded)"
    notes = [note for error in chain for note in getattr(error, "__notes__", ())]
    return f" ({notes[0]})" if notes else ""
