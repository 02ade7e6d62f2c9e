"""The page stands alone, trusts no name, and shows what is not available as such."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree

import cv2
import numpy as np
import pandas as pd
import pytest
from marks import contender

from graft.vision.evaluation.options import EvaluationOptions
from graft.vision.evaluation.report import ReportMaterial, render_report
from graft.vision.evaluation.report.charts import Axes, Line, draw_chart, style_of
from graft.vision.evaluation.report.grids import confusion_grid
from graft.vision.evaluation.report.material import Picture
from graft.vision.evaluation.verdict import judge
from graft.vision.task import Figure

EVIL = "<script>alert('x')</script>\"><img src=http://evil.example/a.png onerror=alert(1)>&amp;"
NAN = float("nan")


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (150, 200, 3), dtype=np.uint8)
    return cv2.imencode(".jpg", cv2.blur(pixels, (9, 9)))[1].tobytes()


def history(**columns: list[float]) -> pd.DataFrame:
    table = {"epoch": [0.0, 1.0], "train_loss": [1.0, 0.5], "val_loss": [1.1, 0.7]}
    return pd.DataFrame({**table, "val_accuracy": [0.4, 0.8], **columns})


def material(name: str = "wasp") -> ReportMaterial:
    """A small case in which everything that has a name bears this one."""
    right = np.ones(40)
    right[:9] = 0
    contenders = [
        contender(name, right, 1.0, f"note on {name}"),
        contender("other", right[::-1], 9.0),
    ]
    units = [f"u{i}" for i in range(40)]
    classes = [name, "bee"]
    pictures = [Picture(picture(i), f"{name} taken for bee", source=name) for i in range(12)]
    looks = [Picture(picture(i), name, picture(i + 1)) for i in range(6)]
    return ReportMaterial(
        case=name,
        task="classification",
        primary="accuracy",
        verdict=judge(contenders, "accuracy", units, EvaluationOptions(resamples=100)),
        scores={
            "accuracy": {"value": 0.775, "low": 0.65, "high": 0.9},
            "auroc": {"value": "n/a", "low": "n/a", "high": "n/a"},
        },
        per_class=pd.DataFrame({"class": classes, "images": [40, 0], "recall": [0.775, NAN]}),
        confusion=pd.DataFrame([[31, 9], [0, 0]], index=classes, columns=classes),
        histories={name: history(), "scratch": history()},
        reliability={
            "before": [{"confidence": 0.9, "right": 0.5, "images": 20}],
            "after": [],
        },
        worst=pictures,
        attention=looks,
        quality={
            "images": 80,
            "splits": {"train": 30, "val": 10, "test": 40},
            "quarantined": 1,
            "exact_copies": 0,
            "near_copies": 1,
            "leaking_images": 1,
            "groups": 3,
            "findings": [f"{name} is thin"],
            "leaks": [
                {"id": name, "other_id": name, "other_split": "test", "why": name, "action": name}
            ],
            "copies": [{"id_a": name, "id_b": name, "kind": "near", "how": name, "score": NAN}],
        },
        policy_preview=b"\x89PNG" + picture(0),
        facts={name: {name: name, "seed": 0}},
    )


def dense_material(name: str = "wasp") -> ReportMaterial:
    """The same with all that a task may add to it."""
    curves = pd.DataFrame(
        {
            "class": [name, name, "absent", "absent"],
            "recall": [0.0, 1.0, 0.0, 1.0],
            "precision": [1.0, 0.5, NAN, NAN],
        }
    )
    dots = pd.DataFrame({"there": [0, 2, 30], "said": [1, 2, 28], name: [3, 1, 1]})
    table = pd.DataFrame({"size": [name, "large"], "objects": [3, 0], "map": [0.25, NAN]})
    return replace(
        material(name),
        figures=[
            Figure(f"Curves of {name}", name, "lines", curves),
            Figure("Counts", name, "dots", dots),
            Figure("Sizes", name, "table", table),
        ],
        words={"accuracy": f"how often {name} is right", "confusion": f"objects of {name}"},
        legend={name: (255, 0, 16), "bee": (1, 2, 3)},
        worst=[Picture(picture(0), name, picture(1), f"worst: {name}", name)],
    )


class Reader(HTMLParser):
    """Collects the tags, whatever they would load, and the text between them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def page() -> str:
    return render_report(material())


@pytest.fixture(scope="module")
def dense_page() -> str:
    return render_report(dense_material())


@pytest.fixture(scope="module")
def evil_page() -> str:
    return render_report(material(EVIL))


def figures_of(page: str) -> list[str]:
    return re.findall(r"<svg.*?</svg>", page, re.DOTALL)


def test_report__loads_nothing_and_runs_nothing(page: str) -> None:
    reader = Reader(page)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(reader.tags)
    loaded = [value for name, value in reader.attributes if name in ("src", "href", "srcset")]
    assert loaded
    assert all(value.startswith("data:image/") for value in loaded)
    assert not re.search(r"url\(|@import", page)


def test_report__says_so_in_its_content_policy(page: str) -> None:
    policy = next(value for name, value in Reader(page).attributes if "default-src" in value)
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


def test_report__escapes_every_name(evil_page: str, page: str) -> None:
    evil, plain = Reader(evil_page), Reader(page)
    assert evil.tags == plain.tags
    assert not any(name.startswith("on") for name, _ in evil.attributes)
    assert "evil.example" not in "".join(value for _, value in evil.attributes)
    assert EVIL in evil.text  # read as the text it is, once


def test_report__figures_are_well_formed_whatever_the_names(page: str, evil_page: str) -> None:
    assert len(figures_of(page)) == len(figures_of(evil_page)) == 5
    for figure in figures_of(page) + figures_of(evil_page):
        assert ElementTree.fromstring(figure).tag.endswith("svg")


def test_report__escapes_every_name_that_a_task_adds(dense_page: str) -> None:
    evil_page = render_report(dense_material(EVIL))
    evil, plain = Reader(evil_page), Reader(dense_page)
    assert evil.tags == plain.tags
    assert not any(name.startswith("on") for name, _ in evil.attributes)
    assert len(figures_of(evil_page)) == len(figures_of(dense_page)) == 7
    for figure in figures_of(evil_page):
        assert ElementTree.fromstring(figure).tag.endswith("svg")


def test_report__shows_the_figures_words_and_colours_of_a_task(dense_page: str) -> None:
    text = Reader(dense_page).text
    for words in ("how often wasp is right", "objects of wasp", "Curves of wasp", "absent: n/a"):
        assert words in text
    assert "background:#ff0010" in dense_page
    assert re.search(r"large\s*0\s*n/a", text)  # the size that no object has
    assert "How often images of each class" not in text  # the task's words stand in their place


def test_report__lays_truth_beside_prediction(dense_page: str, page: str) -> None:
    shown = Reader(dense_page).text
    assert "Truth beside prediction" in shown
    assert "worst: wasp" in shown
    assert "Truth beside prediction" not in Reader(page).text


def test_report__shows_what_is_undefined_as_not_available(page: str) -> None:
    text = Reader(page).text
    assert text.count("n/a") >= 4  # auroc and its interval, the empty class's recall, a copy
    assert not re.search(r"\bnan\b|\binf\b|None", text, re.IGNORECASE)


def test_report__begins_with_the_verdict(page: str) -> None:
    text = Reader(page).text
    sentences = material().verdict["sentences"]
    places = [text.index(sentence) for sentence in sentences]
    assert places == sorted(places)
    assert places[-1] < text.index("The contenders")


def test_report__shows_scores_with_their_intervals(page: str) -> None:
    assert "0.775" in page
    assert "0.650 to 0.900" in page


@pytest.mark.parametrize(
    "change",
    [
        {"histories": {"probe": history(val_loss=[NAN, NAN], val_accuracy=[NAN, NAN])}},
        {"histories": {}},
        {"histories": {"probe": history().iloc[:1]}},
        {"reliability": {"before": [], "after": []}},
        {"worst": [], "attention": []},
    ],
)
def test_report__does_without_what_a_case_lacks(change: dict[str, Any]) -> None:
    assert "<h2>The record</h2>" in render_report(replace(material(), **change))


def test_report__stays_small_with_many_classes(page: str) -> None:
    names = [f"class {i}" for i in range(200)]
    counts = pd.DataFrame(np.eye(200, dtype=int), index=names, columns=names)
    per_class = pd.DataFrame({"class": names, "images": 1, "recall": 1.0})
    many = render_report(replace(material(), confusion=counts, per_class=per_class))
    assert len(page) < 400_000
    assert len(many) < 8_000_000


def test_confusion__shows_shares_of_the_row_where_counts_are_long() -> None:
    names = ["sky", "road", "absent"]
    counts = pd.DataFrame([[99_000, 1_000, 0], [40, 60, 0], [0, 0, 0]], index=names, columns=names)
    words = ElementTree.fromstring(confusion_grid(counts)).itertext()
    written = [word for word in words if "said" not in word]
    assert [word for word in written if word.isdigit()] == ["99", "1", "40", "60"]
    assert "n/a" in written  # the class that the truth does not have


def test_confusion__marks_as_right_what_has_the_same_name_only() -> None:
    counts = pd.DataFrame([[3, 0], [0, 2]], index=["cell", "invented"], columns=["cell", "missed"])
    drawn = confusion_grid(counts)
    assert drawn.count("#0b6e99") == 1
    assert drawn.count("#c2571a") == 1


@pytest.mark.parametrize("highest", [1e-7, 0.004, 0.3, 1.0, 17.0, 4321.0])
def test_chart__ends_at_a_round_value_that_holds_every_point(highest: float) -> None:
    line = Line("one", [(1, 0), (2, highest)], "#000")
    drawn = ElementTree.fromstring(draw_chart([line], Axes("epoch", "loss", whole_x=True)))
    numbers = [float(word) for word in drawn.itertext() if re.fullmatch(r"[\d.e+-]+", word)]
    assert max(numbers) >= min(highest, 2)
    place = next(part for part in drawn.iter() if part.tag.endswith("polyline")).get("points", "")
    assert all(0 <= float(pair.split(",")[1]) <= 250 for pair in place.split())


def test_chart__counts_in_whole_numbers() -> None:
    line = Line("one", [(1, 1), (2, 1), (3, 1)], "#000")
    drawn = ElementTree.fromstring(draw_chart([line], Axes("epoch", "loss", whole_x=True)))
    assert [word for word in drawn.itertext() if word in "123"][-3:] == ["1", "2", "3"]


def test_chart__tells_apart_more_lines_than_it_has_colours() -> None:
    assert len({style_of(number) for number in range(40)}) == 40
