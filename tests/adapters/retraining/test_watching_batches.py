"""Batches beside a champion of classes: clean, shifted, poisoned, small; labelled and not."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import mlflow
import numpy as np
import pytest
from watched_cases import (
    CLASSES,
    KNOWN_IMAGES,
    NEW_IMAGES,
    WatchedCase,
    draw,
    drawn,
    open_case,
    shown,
    write,
)

from graft.adapters.promotion.clean_process import disagreement
from graft.adapters.registry import AlteredModelError
from graft.adapters.retraining import asking, drifting
from graft.adapters.retraining.looking import Seen
from graft.vision.errors import OptionsError
from graft.vision.records import Array

Found = dict[str, Any]
NEXT = 1000
"""Number of the first picture that no champion has seen."""


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WatchedCase]:
    """A champion of 72 images; the address of MLflow is as before when it ends."""
    before = mlflow.get_tracking_uri()
    yield open_case("classification", tmp_path_factory.mktemp("watched"))
    mlflow.set_tracking_uri(before)


@pytest.fixture(autouse=True)
def spoken_here(case: WatchedCase, monkeypatch: pytest.MonkeyPatch) -> None:
    """The champion speaks in this process; a test of its own starts a clean one."""
    monkeypatch.setattr(asking, "say", case.say)


def found_in(case: WatchedCase, **retraining: Any) -> Found:
    """What is watched, which must go to JSON as it is."""
    found = case.watch(**retraining)
    assert found is not None
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


def checks_of(found: Found) -> list[str]:
    return [reason["check"] for reason in found["intake"]["reasons"]]


def darker(pixels: Array) -> Array:
    return (pixels * 0.35).astype(np.uint8)


def test_watch__says_nothing_where_nothing_is_new(case: WatchedCase) -> None:
    assert case.watch() is None


def test_watch__a_clean_batch_passes(case: WatchedCase) -> None:
    found = found_in(case.arrive("clean", drawn(NEXT, NEW_IMAGES)))
    assert found["champion"] == "tiny-classification/1"
    assert found["known"]["images"] == KNOWN_IMAGES
    assert found["new"]["counts"]["added"] == NEW_IMAGES
    assert not found["intake"]["held"]
    assert found["drift"]["verdict"] == "no drift found"
    assert found["drift"]["direction"] is None
    assert found["accuracy"]["images"] == NEW_IMAGES
    assert found["accuracy"]["estimate"]["trusted"]
    assert found["fallen"]["verdict"] in ("not fallen", "cannot tell")
    assert found["fallen"]["images"] == NEW_IMAGES
    assert found["unlabelled"] is None


def test_ask__by_the_registered_bytes_it_says_the_same(
    case: WatchedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrived = case.arrive("asked", drawn(NEXT, 6))
    rows = arrived.look().manifest.tail(6).assign(unit="u")
    here = asking.ask(arrived.case, arrived.champion, rows)
    monkeypatch.undo()
    assert disagreement(here, asking.ask(arrived.case, arrived.champion, rows)) is None


def test_watch__a_night_batch_drifts_to_darker_images(case: WatchedCase) -> None:
    found = found_in(case.arrive("night", shown(drawn(NEXT, NEW_IMAGES), darker)))
    assert found["drift"]["verdict"] == "drifted"
    assert "brightness" in found["drift"]["direction"]["likely"]
    assert any("darker (brightness" in said for said in found["sentences"])
    assert not found["accuracy"]["estimate"]["trusted"]


def test_watch__eight_images_give_no_verdict(case: WatchedCase) -> None:
    found = found_in(case.arrive("few", shown(drawn(NEXT, 8), darker)))
    assert found["drift"]["verdict"] == found["fallen"]["verdict"] == "cannot tell"
    assert found["accuracy"]["estimate"] is None
    assert not found["intake"]["held"]


def test_watch__a_score_falls_where_colours_are_swapped(case: WatchedCase) -> None:
    swapped = shown(drawn(NEXT, NEW_IMAGES), lambda pixels: np.roll(pixels, 1, axis=2))
    found = found_in(case.arrive("swapped", swapped))
    assert found["fallen"]["verdict"] == "fallen"
    assert found["fallen"]["difference"]["high"] < 0
    assert "score has fallen: accuracy is" in found["fallen"]["sentences"][0]
    assert found["fallen"]["score"] < found["fallen"]["known_score"]


def test_watch__truths_are_doubted_where_images_are_as_ever(case: WatchedCase) -> None:
    wrong = [replace(one, kind=(one.kind + 1) % 3) for one in drawn(NEXT, NEW_IMAGES)]
    found = found_in(case.arrive("mislabelled", wrong))
    assert found["drift"]["verdict"] == "no drift found"
    assert found["fallen"]["verdict"] == "fallen"
    assert found["accuracy"]["truths_doubted"]
    assert any(said.endswith("look at these truths.") for said in found["sentences"])
    assert not found_in(case.arrive("plain", drawn(NEXT, NEW_IMAGES)))["accuracy"]["truths_doubted"]


def test_watch__a_patch_in_few_images_is_held_with_its_files(case: WatchedCase) -> None:
    def stamp(pixels: Array) -> Array:
        out = pixels.copy()
        out[-9:-3, -9:-3] = np.kron(np.indices((3, 3)).sum(0) % 2, np.ones((2, 2)))[..., None] * 255
        return out

    batch = drawn(NEXT, NEW_IMAGES)
    carriers = shown(batch[5::12], stamp)
    found = found_in(case.arrive("patch", [*batch[:5], *carriers, *batch[30:], *batch[6:17]]))
    assert checks_of(found) == ["patch"]
    files = {f"{CLASSES[one.kind]}/{one.name}" for one in carriers}
    assert set(found["intake"]["reasons"][0]["files"]) == files


def test_watch__copies_with_other_truths_are_held(case: WatchedCase) -> None:
    def flip(raw: Path) -> None:
        for number in (0, 3):  # ants
            brighter = np.clip(draw(number).pixels * 0.9 + 12, 0, 255).astype(np.uint8)
            write(raw / "bee" / f"again_{number}.png", brighter)

    found = found_in(case.arrive("flipped", drawn(NEXT, 24), flip))
    assert checks_of(found) == ["conflicting copies"]
    assert found["intake"]["reasons"][0]["files"] == ["bee/again_0.png", "bee/again_3.png"]
    assert found["accuracy"]["images"] <= 24  # of copies it has learned


def test_watch__copies_with_other_truths_are_held_though_their_originals_are_gone(
    case: WatchedCase,
) -> None:
    def replace_ant(raw: Path) -> None:
        (raw / "ant" / "0000.png").unlink()
        brighter = np.clip(draw(0).pixels * 0.9 + 12, 0, 255).astype(np.uint8)
        write(raw / "bee" / "again_0.png", brighter)

    found = found_in(case.arrive("replaced", also=replace_ant))
    assert checks_of(found) == ["conflicting copies"]
    assert found["intake"]["reasons"][0]["facts"][0]["known"] == "ant/0000.png"


def test_watch__changed_bytes_of_known_files_are_held(case: WatchedCase) -> None:
    def change(raw: Path) -> None:
        write(raw / "ant" / "0003.png", draw(2000, 0).pixels)

    found = found_in(case.arrive("changed", also=change))
    assert found["new"]["changed_bytes"] == ["ant/0003.png"]
    assert checks_of(found) == ["changed source"]
    assert found["accuracy"]["images"] == 0


def test_watch__a_class_flood_is_held(case: WatchedCase) -> None:
    found = found_in(case.arrive("flood", [draw(NEXT + i, 1) for i in range(NEW_IMAGES)]))
    assert "class flood" in checks_of(found)
    assert len(found["intake"]["reasons"][0]["files"]) == NEW_IMAGES


def test_watch__broken_files_are_held_once_they_are_new(case: WatchedCase) -> None:
    def spoil(raw: Path) -> None:
        for number in range(6):
            (raw / "ant" / f"broken_{number}.png").write_text("no image")

    found = found_in(case.arrive("broken", drawn(NEXT, 24), spoil))
    assert checks_of(found) == ["unusable files"]
    assert len(found["new"]["refused"]) == 6


def test_watch__a_corrected_truth_is_new_and_not_held(case: WatchedCase) -> None:
    def correct(raw: Path) -> None:
        (raw / "ant" / "0003.png").rename(raw / "bee" / "0003.png")

    found = found_in(case.arrive("moved", also=correct))
    assert found["new"]["added"] == ["bee/0003.png"]
    assert found["new"]["gone"] == ["ant/0003.png"]
    assert not found["intake"]["held"]
    assert found["drift"]["new_images"] == 0  # its bytes are known


def test_watch__tells_of_images_without_truth(case: WatchedCase) -> None:
    folder = case.case.project / "served"
    for one in shown(drawn(NEXT + 500, NEW_IMAGES), darker):
        write(folder / "monday" / one.name, one.pixels)
    write(folder / "known.png", draw(4).pixels)
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff")
    found = found_in(case, unlabelled="served")
    assert found["unlabelled"]["images"] == NEW_IMAGES
    assert found["unlabelled"]["passed_over"] == 1
    assert [row["file"] for row in found["unlabelled"]["refused"]] == ["torn.jpg"]
    assert found["unlabelled_drift"]["verdict"] == "drifted"
    assert not found["unlabelled"]["accuracy"]["estimate"]["trusted"]
    assert found["unlabelled"]["accuracy"]["fallen"] is None
    assert not found["intake"]["held"]
    assert found["new"]["counts"]["added"] == 0


def test_watch__sees_nothing_by_the_backbone_where_what_was_served_is_known(
    case: WatchedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(case.case.project / "served_again" / "known.png", draw(4).pixels)
    monkeypatch.setattr(Seen, "ground", None)
    assert case.watch(unlabelled="served_again") is None


def test_watch__refuses_a_folder_outside_the_project(case: WatchedCase) -> None:
    with pytest.raises(OptionsError, match="below the project"):
        case.watch(unlabelled="../elsewhere")


def test_watch__altered_bytes_of_the_champion_are_no_monitoring_matter(
    case: WatchedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    def altered(*_: Any) -> None:
        raise AlteredModelError("not what was registered")

    monkeypatch.setattr(asking, "say", altered)
    with pytest.raises(AlteredModelError):
        case.arrive("altered", drawn(NEXT, NEW_IMAGES)).watch()


def test_watch__power_names_the_shifts_that_would_be_found(
    case: WatchedCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drifting, "SHIFTED", 40)
    arrived = case.arrive("power", drawn(NEXT, 24))
    drift = arrived.said["retraining"]["monitoring"]["drift"] | {"permutations": 99}
    monitoring = arrived.said["retraining"]["monitoring"] | {
        "drift": drift | {"power_windows": 10, "false_alarm_rate": 0.05}
    }
    found = arrived.watch(power=True, monitoring=monitoring)
    assert found is not None
    assert found["drift"]["power"]["smallest"]["darker"] is not None


def test_drawn__colours_are_read_as_written(tmp_path: Path) -> None:
    write(tmp_path / "a.png", draw(1).pixels)
    assert (cv2.imread(str(tmp_path / "a.png"))[..., ::-1] == draw(1).pixels).all()
