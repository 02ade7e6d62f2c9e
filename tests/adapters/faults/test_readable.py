"""What a user reads of a fault, and which errors keep their traceback."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from kedro.io import DatasetError
from mlflow.exceptions import MlflowException
from safetensors import SafetensorError

from graft.adapters.faults import causes, readable
from graft.vision.errors import DataError, GraftError


def raised(act: Callable[[], object]) -> Exception:
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def wrap(inner: Exception, outer: Exception, *, by_from: bool = True) -> Exception:
    """The outer error, raised because of the inner one, with or without ``from``."""

    def act() -> None:
        try:
            raise inner
        except type(inner) as error:
            if by_from:
                raise outer from error
            raise outer  # noqa: B904

    return raised(act)


def in_dataset(inner: Exception) -> Exception:
    said = f"Failed while saving data to dataset X(filepath='data/a.parquet').\n{inner}"
    return wrap(inner, DatasetError(said))


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EROFS, "it may only be read"),
        (errno.EACCES, "no permission"),
        (errno.EFBIG, "files may not grow"),
        (errno.ENOTDIR, "a file stands where a folder should be"),
    ],
)
def test_readable__names_the_place_and_the_mend_of_a_disk_error(number: int, said: str) -> None:
    plain = readable(OSError(number, os.strerror(number), "data/store"))
    assert plain is not None and plain.startswith("data/store: ") and "next: " in plain
    assert said in plain
    nameless = readable(in_dataset(OSError(number, os.strerror(number))))
    assert nameless is not None and "(while data/a.parquet was saved" in nameless
    assert said in nameless


@pytest.mark.parametrize(
    "error",
    [
        SafetensorError(
            "Error while serializing: I/O error: No space left on device (os error 28)"
        ),
        RuntimeError("unable to write to file </torch_1>: No space left on device (28)"),
    ],
)
def test_readable__knows_a_full_disk_that_others_tell_in_words(error: Exception) -> None:
    assert "the disk is full; found: " in str(readable(error))
    said = "the disk is full (while data/a.parquet was saved or loaded); found: "
    assert str(readable(in_dataset(error))).startswith(said)
    error.add_note("in step classification.fine_tune")
    assert "the disk is full (in step classification.fine_tune)" in str(readable(error))


def test_readable__shows_grafts_own_message_through_every_wrapper() -> None:
    own = DataError("no raw data", mend="bring it")
    assert readable(in_dataset(own)) == "no raw data; next: bring it."
    assert readable(wrap(OSError(errno.EACCES, "x"), own)) == "no raw data; next: bring it."


def test_readable__leaves_faults_of_graft_their_traceback() -> None:
    assert readable(TypeError("no such argument")) is None
    assert readable(KeyError("a")) is None
    assert readable(FileNotFoundError(errno.ENOENT, "No such file", "x")) is None
    assert readable(in_dataset(ValueError("shapes differ"))) is None
    handled = wrap(GraftError("a message"), TypeError("a bug in the handler"), by_from=False)
    assert readable(handled) is None
    assert readable(MlflowException("Invalid value 3 for parameter 'key'")) is None


def test_causes__follow_a_library_that_raises_without_from() -> None:
    lost = ConnectionError("refused")
    error = wrap(lost, MlflowException("API request failed"), by_from=False)
    assert list(causes(error)) == [error, lost]


@pytest.mark.parametrize(
    ("said", "meaning"),
    [
        ("(sqlite3.OperationalError) database is locked", "another process holds it"),
        ("(sqlite3.OperationalError) attempt to write a readonly database", "may not be written"),
        ("(sqlite3.OperationalError) database or disk is full", "the disk is full"),
        ("(sqlite3.DatabaseError) file is not a database", "it is damaged"),
        ("Cannot set a deleted experiment 'a' as the active experiment", "was deleted there"),
    ],
)
def test_readable__translates_what_mlflow_says_of_its_store(said: str, meaning: str) -> None:
    message = readable(wrap(RuntimeError("in a hook"), MlflowException(said)))
    assert message is not None and message.startswith("MLflow's store ")
    assert meaning in message and "next: " in message and "\n" not in message


def test_readable__says_that_a_server_does_not_answer() -> None:
    import requests

    refused = "HTTPConnectionPool(host='h', port=9): (Caused by x: [Errno 111] Connection refused)"
    inner = requests.ConnectionError(refused)
    message = readable(wrap(inner, MlflowException("API request to h failed"), by_from=False))
    assert "does not answer as it should; found: Connection refused; next: start" in str(message)


def test_readable__of_a_missing_file_inside_a_folder_is_no_fault_of_the_disk(
    tmp_path: Path,
) -> None:
    assert readable(raised((tmp_path / "nothing").read_bytes)) is None
