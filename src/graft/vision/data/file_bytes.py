"""The bytes of a file, or a stated refusal: of an image never more than its pixels may need, of
what says something of images never more than annotations take."""

from pathlib import Path

from graft.vision.errors import UnusableImageError

BYTES_MIN, BYTES_PER_PIXEL = 1 << 26, 16
"""No format needs more, uncompressed and with all that it carries; larger files are not read."""

STATED_BYTES_MAX = 1 << 31
"""Four times the largest annotations of COCO; what parses them takes several times as much."""
IRREGULAR = "not a regular file; bring the file itself"


def read_stated(path: Path) -> bytes:
    """All bytes of a file that says something of images: JSON, XML, YAML, CSV, text.

    Raises `OSError` for what cannot be read, and as `check_stated` does.
    """
    check_stated(path)
    return path.read_bytes()


def check_stated(path: Path) -> None:
    """Raise `OSError` for what is no regular file (a pipe or a device would be read without end)
    or larger than `STATED_BYTES_MAX`."""
    if not path.is_file():
        raise OSError(IRREGULAR)
    if (size := path.stat().st_size) > STATED_BYTES_MAX:
        raise OSError(
            f"{size} bytes, of which at most {STATED_BYTES_MAX} are read; split the file, or take "
            "out of it what says nothing of images"
        )


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
