"""The bytes of an image or mask file, or a stated refusal; never more than its pixels may need."""

from pathlib import Path

from graft.vision.errors import UnusableImageError

BYTES_MIN, BYTES_PER_PIXEL = 1 << 26, 16
"""No format needs more, uncompressed and with all that it carries; larger files are not read."""


def read_within(path: Path, max_pixels: int) -> bytes:
    """All bytes of a file that may hold so many pixels.

    Raises:
        UnusableImageError: for what is larger than any such image, is no regular file (a pipe or a
            device would be read without end), or cannot be read.
    """
    allowed = max(BYTES_MIN, BYTES_PER_PIXEL * max_pixels)
    try:
        if not path.is_file():
            what = "is not a regular file" if path.exists() else "there is no such file"
            raise UnusableImageError(f"cannot be read ({what})")
        if (size := path.stat().st_size) > allowed:
            raise UnusableImageError(
                "too many bytes", found=size, allowed=f"{allowed} for the pixels allowed"
            )
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a path with a null character
        reason = getattr(error, "strerror", None) or error
        raise UnusableImageError(f"cannot be read ({reason})") from error
