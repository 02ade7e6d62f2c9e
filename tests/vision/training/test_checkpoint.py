"""A checkpoint is whole or refused, and a training goes on from it as if it had never stopped."""

import json
import logging
import pickle
import struct
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tiny_training import differing, history_of, new_training, options_of, state_of

from graft.vision.contenders.fine_tuned import train_scratch
from graft.vision.contenders.ground import Ground
from graft.vision.errors import CheckpointError
from graft.vision.runtime import machine_record
from graft.vision.training import folding, progress
from graft.vision.training.checkpoint import (
    FACTS,
    PARTS,
    AlteredCheckpointError,
    load_checkpoint,
)
from graft.vision.training.loop import Trained, Training

# All that could be lost between two epochs: average, optimiser, mixing, dropout, moving BatchNorm.
RICH = {
    "epochs": 3,
    "ema_decay": 0.9,
    "batch_norm": "moves",
    "mixup_alpha": 0.3,
    "cutmix_alpha": 0.3,
    "learning_rate": 5e-3,
}
DIGEST = "the digest of this training"


class KilledError(Exception):
    """Stands for what ends a process between two epochs."""


def run_until(ground: Ground, path: Path, saved: int, **options: object) -> None:
    """Train, and fall right after this many epochs are saved."""

    def after_epoch(row: dict[str, float]) -> None:
        if row["epoch"] == saved - 1:
            raise KilledError

    with pytest.raises(KilledError):
        new_training(ground, path, after_epoch=after_epoch, **options).run()


def read(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    with safe_open(path, framework="pt") as handle:
        tensors = {key: handle.get_tensor(key) for key in handle.keys()}  # noqa: SIM118
        return tensors, json.loads(handle.metadata()["facts"])


def write(path: Path, tensors: dict[str, torch.Tensor], facts: dict[str, object]) -> None:
    save_file(tensors, path, metadata={"facts": json.dumps(facts)})


@pytest.fixture(scope="module")
def whole(ground: Ground) -> Trained:
    """The training that nothing interrupts."""
    return new_training(ground, **RICH).run()


@pytest.fixture(scope="module")
def stopped(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint after two epochs of three."""
    path = tmp_path_factory.mktemp("checkpoints") / "stopped.safetensors"
    run_until(ground, path, 2, **RICH)
    return path


@pytest.mark.parametrize("epochs", [1, 2, 3])
def test_training__goes_on_bit_for_bit(
    ground: Ground, tmp_path: Path, whole: Trained, epochs: int
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    run_until(ground, path, epochs, **RICH)
    torch.manual_seed(epochs)  # nothing is carried over by the process
    resumed = new_training(ground, path, **RICH).run()
    assert differing(state_of(resumed.model), state_of(whole.model)) == set()
    assert history_of(resumed) == history_of(whole)
    assert resumed.best_epoch == whole.best_epoch


def test_training__that_falls_twice_goes_on_bit_for_bit(
    ground: Ground, tmp_path: Path, whole: Trained
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    run_until(ground, path, 1, **RICH)
    run_until(ground, path, 2, **RICH)
    resumed = new_training(ground, path, **RICH).run()
    assert differing(state_of(resumed.model), state_of(whole.model)) == set()


def test_training__with_batch_norm_folded_goes_on_bit_for_bit(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folding, "VALUES_PER_FOLD", 0)  # its views are too small for it to pay
    monkeypatch.setattr(folding, "VALUES_PER_WEIGHT", 0)
    still = {**RICH, "batch_norm": "frozen"}
    training, path = new_training(ground, **still), tmp_path / "checkpoint.safetensors"
    whole = training.run()
    assert training.precision._folds
    run_until(ground, path, 1, **still)
    resumed = new_training(ground, path, **still).run()
    assert differing(state_of(resumed.model), state_of(whole.model)) == set()
    assert history_of(resumed) == history_of(whole)


def test_training__that_goes_on_on_another_class_of_machine_says_so_and_what_it_is(
    ground: Ground,
    tmp_path: Path,
    whole: Trained,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path, here = tmp_path / "checkpoint.safetensors", machine_record()
    elsewhere = {**here, "threads": 64, "torch": "1.0"}
    with monkeypatch.context() as patch:
        patch.setattr(progress, "machine_record", lambda: elsewhere)
        run_until(ground, path, 1, **RICH)
    with caplog.at_level(logging.WARNING, logger="graft"):
        resumed = new_training(ground, path, **RICH).run()
    said = f"torch {here['torch']}, before 1.0; threads {here['threads']}, before 64"
    assert f"another class of machine ({said}): it ends close" in caplog.text
    assert "no longer bit for bit the same" in caplog.text
    assert (whole.machines, resumed.machines) == ([here], [elsewhere, here])
    # What is done was done there, whoever looks at it.
    with monkeypatch.context() as patch:
        patch.setattr(progress, "machine_record", lambda: {**here, "device": "other"})
        assert new_training(ground, path, **RICH).run().machines == [elsewhere, here]


def test_card__names_the_class_of_machine_that_trained(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options, here = options_of(precision="fp32"), machine_record()
    trained, _ = train_scratch(ground, tmp_path, options)
    assert trained.card.facts["machine"] == here and "machines_before" not in trained.card.facts
    monkeypatch.setattr("graft.vision.contenders.ground.machine_record", lambda: {"device": "?"})
    assert train_scratch(ground, tmp_path, options)[0].card.facts["machine"] == here


def test_training__that_is_done_is_not_run_again(
    ground: Ground, tmp_path: Path, whole: Trained
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    new_training(ground, path, **RICH).run()
    before = path.read_bytes()
    again = new_training(ground, path, after_epoch=lambda row: pytest.fail("ran again"), **RICH)
    assert differing(state_of(again.run().model), state_of(whole.model)) == set()
    assert path.read_bytes() == before


SCORES = [0.5, 0.6, 0.4, 0.9]
"""With a patience of one, training ends after the third epoch and never sees the last score."""


def scripted(training: Training) -> Training:
    """The same training, told these validation scores."""
    training._validate = lambda: {"score": SCORES[training.progress.epoch], "loss": 1.0}  # type: ignore[method-assign]
    return training


def test_early_stopping__keeps_the_best_epoch_and_stops_after_its_patience(ground: Ground) -> None:
    trained = scripted(new_training(ground, epochs=4, patience=1)).run()
    assert (len(trained.history), trained.best_epoch) == (3, 1)
    patient = scripted(new_training(ground, epochs=4, patience=2)).run()
    assert (len(patient.history), patient.best_epoch) == (4, 3)


@pytest.mark.parametrize("saved", [1, 2, 3])
def test_early_stopping__ends_at_the_same_epoch_after_a_fall(
    ground: Ground, tmp_path: Path, saved: int
) -> None:
    def fall(row: dict[str, float]) -> None:
        if row["epoch"] == saved - 1:
            raise KilledError

    options = {"epochs": 4, "patience": 1}
    plain, path = scripted(new_training(ground, **options)).run(), tmp_path / "c.safetensors"
    with pytest.raises(KilledError):
        scripted(new_training(ground, path, after_epoch=fall, **options)).run()
    resumed = scripted(new_training(ground, path, **options)).run()
    assert history_of(resumed) == history_of(plain)
    assert differing(state_of(resumed.model), state_of(plain.model)) == set()


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def header_end(path: Path) -> int:
    """Where the bytes of the tensors begin."""
    return 8 + int(struct.unpack("<Q", path.read_bytes()[:8])[0])


def test_checkpoint__with_another_byte_of_a_tensor_is_refused_with_both_digests(
    tmp_path: Path, stopped: Path
) -> None:
    path, size = tmp_path / "altered.safetensors", stopped.stat().st_size
    for place in [*range(header_end(stopped), size, size // 20), size - 1]:
        path.write_bytes(stopped.read_bytes())
        flip(path, place)
        said = r"altered\.safetensors is not as .*found: SHA-256 (\w{64}); allowed: SHA-256 (?!\1)"
        with pytest.raises(AlteredCheckpointError, match=said):
            load_checkpoint(path, DIGEST)


def test_checkpoint__with_another_byte_of_its_header_is_refused(
    tmp_path: Path, stopped: Path
) -> None:
    path, end = tmp_path / "altered.safetensors", header_end(stopped)
    for place in range(0, len(stopped.read_bytes()[:end].rstrip()), max(1, end // 200)):
        path.write_bytes(stopped.read_bytes())
        flip(path, place)
        with pytest.raises(CheckpointError):
            load_checkpoint(path, DIGEST)


@pytest.mark.parametrize("lost", [1, 2])
def test_training__goes_on_from_the_last_checkpoint_that_is_as_it_was_written(
    ground: Ground, tmp_path: Path, whole: Trained, caplog: pytest.LogCaptureFixture, lost: int
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    run_until(ground, path, 2, **RICH)
    previous = path.with_name(f"{path.name}.previous")
    for altered in (path, previous)[:lost]:
        flip(altered, -1)
    training = new_training(ground, path, **RICH)
    with caplog.at_level(logging.WARNING):
        training._resume()
    assert training.progress.epoch == 2 - lost
    told = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert len(told) == lost
    assert all(
        text.endswith("goes back to the checkpoint before, or to its start.") for text in told
    )
    assert all("found: SHA-256" in text and "allowed: SHA-256" in text for text in told)
    resumed = new_training(ground, path, **RICH).run()
    assert differing(state_of(resumed.model), state_of(whole.model)) == set()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_training__that_fell_between_two_checkpoints_goes_on_from_the_one_before(
    ground: Ground, tmp_path: Path, whole: Trained
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    run_until(ground, path, 1, **RICH)
    path.replace(path.with_name(f"{path.name}.previous"))  # as saving does, and then was killed
    resumed = new_training(ground, path, **RICH).run()
    assert differing(state_of(resumed.model), state_of(whole.model)) == set()


@pytest.mark.parametrize("fact", FACTS)
def test_checkpoint__that_lacks_a_fact_is_refused_by_its_name(
    tmp_path: Path, stopped: Path, fact: str
) -> None:
    tensors, facts = read(stopped)
    facts.pop(fact)
    write(tmp_path / "cut.safetensors", tensors, facts)
    with pytest.raises(CheckpointError, match=rf"cut\.safetensors is incomplete.*\b{fact}\b"):
        load_checkpoint(tmp_path / "cut.safetensors", DIGEST)


@pytest.mark.parametrize("part", PARTS)
def test_checkpoint__that_lacks_a_part_is_refused_by_its_name(
    ground: Ground, tmp_path: Path, stopped: Path, part: str
) -> None:
    tensors, facts = read(stopped)
    assert any(key.startswith(f"{part}/") for key in tensors)
    left = {key: tensor for key, tensor in tensors.items() if not key.startswith(f"{part}/")}
    write(tmp_path / "cut.safetensors", left, facts)
    with pytest.raises(CheckpointError, match=rf"cut\.safetensors is incomplete.*\b{part}\b"):
        new_training(ground, tmp_path / "cut.safetensors", **RICH).run()


@pytest.mark.parametrize("part", PARTS)
def test_checkpoint__that_lacks_any_one_tensor_is_refused_by_its_name(
    ground: Ground, tmp_path: Path, stopped: Path, part: str
) -> None:
    tensors, facts = read(stopped)
    keys = sorted(key for key in tensors if key.startswith(f"{part}/"))
    training, unnamed = new_training(ground, tmp_path / "cut.safetensors", **RICH), []
    for key in keys[:: max(1, len(keys) // 12)]:
        left = {name: tensor for name, tensor in tensors.items() if name != key}
        write(tmp_path / "cut.safetensors", left, facts)
        try:
            training._resume()
            unnamed.append(f"{key}: accepted")
        except CheckpointError as refusal:
            if key.partition("/")[2] not in str(refusal):
                unnamed.append(f"{key}: {refusal}")
        except Exception as error:
            unnamed.append(f"{key}: {type(error).__name__}")
    assert unnamed == []


def test_checkpoint__that_lacks_its_checksum_is_refused(tmp_path: Path, stopped: Path) -> None:
    write(tmp_path / "cut.safetensors", *read(stopped))
    with pytest.raises(CheckpointError, match=r"cut\.safetensors is incomplete; found: no sha256"):
        load_checkpoint(tmp_path / "cut.safetensors", DIGEST)


def test_checkpoint__of_another_training_is_refused_with_both_digests(
    tmp_path: Path, stopped: Path
) -> None:
    with pytest.raises(CheckpointError, match=f"another training; found: {DIGEST}; allowed: other"):
        load_checkpoint(stopped, "other")


@pytest.mark.parametrize("kept", [0, 7, 1000, -1])
def test_checkpoint__that_is_cut_off_is_refused_by_name(
    tmp_path: Path, stopped: Path, kept: int
) -> None:
    path = tmp_path / "torn.safetensors"
    path.write_bytes(stopped.read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"torn\.safetensors is damaged.*next: delete"):
        load_checkpoint(path, DIGEST)


def test_checkpoint__that_is_a_pickle_never_runs(tmp_path: Path, marker: Path, hostile) -> None:
    path = tmp_path / "hostile.safetensors"
    for content in (pickle.dumps(hostile()), None):
        if content:
            path.write_bytes(content)
        else:
            torch.save(hostile(), path)
        with pytest.raises(CheckpointError, match=r"hostile\.safetensors is damaged"):
            load_checkpoint(path, DIGEST)
    assert not marker.exists()


def test_checkpoint__half_written_beside_a_whole_one_is_passed_over(
    ground: Ground, tmp_path: Path, whole: Trained
) -> None:
    path = tmp_path / "checkpoint.safetensors"
    run_until(ground, path, 2, **RICH)
    path.with_name(f".{path.name}.part").write_bytes(path.read_bytes()[:5000])
    resumed = new_training(ground, path, **RICH).run()
    assert differing(state_of(resumed.model), state_of(whole.model)) == set()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_checkpoint__stays_whole_when_the_next_cannot_be_written(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graft.vision.training import checkpoint

    path = tmp_path / "checkpoint.safetensors"
    run_until(ground, path, 1, **RICH)
    before = path.read_bytes()

    def full_disk(tensors: object, target: Path, metadata: object) -> None:
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full_disk)
    with pytest.raises(OSError, match="No space left"):
        new_training(ground, path, **RICH).run()
    assert path.read_bytes() == before
