"""Public sets of torchvision by name, exported once into the raw folder as class folders."""

from pathlib import Path
from typing import Any

from graft.vision.data.options import SourceOptions
from graft.vision.data.sources.folders import read_folders
from graft.vision.data.sources.reading import SourceReading
from graft.vision.errors import DataError, nearest

_DONE = ".exported"


def read_torchvision(root: Path, options: SourceOptions) -> SourceReading:
    """Read what `export_torchvision` wrote. Raises `DataError` when it has not run."""
    target = root / options.folder
    if not (target / _DONE).is_file():
        raise DataError(
            f"{options.dataset or 'the public set'} has not been exported to {target}",
            mend="on a machine with a network, run: "
            f"python -m graft.vision.data.sources.torchvision {options.dataset or 'NAME'} {target}",
        )
    return read_folders(root, options)


def export_torchvision(name: str, folder: Path, *, download: bool = True) -> int:
    """Write the train and test images of a public set as ``split/class/number.png``.

    Returns the number of images. Raises `DataError` for an unknown set, without a network, and
    where an image cannot be written.
    """
    from torchvision import datasets

    known = [n for n in datasets.__all__ if hasattr(getattr(datasets, n), "__getitem__")]
    if name not in known:
        raise DataError(f"torchvision has no set {name!r}{nearest(name, known)}", allowed=known)
    count = 0
    (folder / _DONE).unlink(missing_ok=True)  # what is written over is not whole meanwhile
    for split in ("train", "val", "test"):
        data = _open(getattr(datasets, name), folder / ".download", split, download)
        names = [str(n).replace("/", "_") for n in getattr(data, "classes", [])]
        for number, (image, label) in enumerate(data or ()):
            if not isinstance(label, int):
                raise DataError(f"{name} has no one class per image", found=type(label).__name__)
            class_name = names[label] if label < len(names) else str(label)
            path = folder / split / class_name / f"{number:06d}.png"
            _put(image, path)
            count += 1
    if not count:
        raise DataError(f"{name} has none of the splits train, val and test")
    (folder / _DONE).touch()
    return count


def _put(image: Any, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    except OSError as error:
        raise DataError(
            f"{path} cannot be written",
            found=error.strerror or error,
            mend="free space, or name a folder that may be written, and run again",
        ) from error


def _open(kind: Any, folder: Path, split: str, download: bool) -> Any:
    """Sets name their split in two ways: ``split="train"`` or ``train=True``. None without it."""
    try:
        return kind(folder, split=split, download=download)
    except TypeError:
        if split == "val":
            return None
    except ValueError:  # a split that this set does not have
        return None
    except (OSError, RuntimeError) as error:
        raise _not_had(kind, error) from error
    try:
        return kind(folder, train=split == "train", download=download)
    except (OSError, RuntimeError, TypeError) as error:
        raise _not_had(kind, error) from error


def _not_had(kind: Any, error: Exception) -> DataError:
    return DataError(
        f"{kind.__name__} could not be had",
        found=str(error)[:200],
        mend="run on a machine with a network, or copy its files there",
    )


if __name__ == "__main__":
    import sys

    print(export_torchvision(sys.argv[1], Path(sys.argv[2])), "images")
