"""Box tables: columns by name in any order, one row per box, defects told by row."""

from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_sets import boxes_of, picture, read, reported, splits_of, text

from graft.vision.data.sources.table_file import load_table
from graft.vision.errors import DataError

CSV = {"layout": "boxes_csv"}
CELLS = {"filename": "a.jpg", "class": "ant", "xmin": "1", "ymin": "2", "xmax": "9", "ymax": "12"}


def table(root: Path, content: str, name: str = "boxes.csv") -> Path:
    picture(root / "images/a.jpg")
    picture(root / "images/b.jpg", seed=1)
    return text(root / name, content)


@pytest.mark.parametrize("order", list(permutations(CELLS))[::60])
def test_boxes_csv__finds_columns_in_any_order(tmp_path: Path, order) -> None:
    table(tmp_path, ",".join(order) + "\n" + ",".join(CELLS[name] for name in order))
    assert boxes_of(read(tmp_path, **CSV)) == {"images/a.jpg": [("ant", (1, 2, 9, 12))]}


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("image,label,x1,y1,x2,y2", "a.jpg,ant,1,2,9,12"),
        ("ImageID,LabelName,XMin,XMax,YMin,YMax", "a,ant,1,9,2,12"),
        ("file,name,x,y,w,h", "a.jpg,ant,1,2,8,10"),
        ("path,class,x,y,width,height", "images/a.jpg,ant,1,2,8,10"),
        ("filename,width,height,class,xmin,ymin,xmax,ymax", "a.jpg,40,30,ant,1,2,9,12"),
        ("filename,cell_type,xmin,xmax,ymin,ymax", "a.jpg,ant,1,9,2,12"),
        ("image_name,label_name,x1,y1,w,h", "a.jpg,ant,1,2,8,10"),
    ],
)
def test_boxes_csv__knows_the_usual_names(tmp_path: Path, header, cells) -> None:
    table(tmp_path, f"{header}\n{cells}\n")
    reading = read(tmp_path, **CSV)
    assert boxes_of(reading) == {"images/a.jpg": [("ant", (1, 2, 9, 12))]}
    stated = reading.rows[0].boxes
    assert stated is not None
    assert stated.size_px == ((40, 30) if "filename,width" in header else None)
    assert stated.boxes[0].row == "boxes.csv:2"


@pytest.mark.parametrize("cell", ['"[1, 2, 9, 12]"', '"1 2 9 12"', '"(1;2;9;12)"'])
def test_boxes_csv__reads_one_cell_of_four_when_told_their_order(tmp_path: Path, cell) -> None:
    table(tmp_path, f"image,label,bbox\na.jpg,ant,{cell}\n")
    with pytest.raises(DataError, match=r"does not tell its order.*box_format"):
        read(tmp_path, **CSV)
    found = boxes_of(read(tmp_path, **CSV, box_format="xyxy"))
    assert found == {"images/a.jpg": [("ant", (1, 2, 9, 12))]}
    found = boxes_of(read(tmp_path, **CSV, box_format="xywh"))
    assert found == {"images/a.jpg": [("ant", (1, 2, 10, 14))]}


def test_boxes_csv__takes_columns_by_option(tmp_path: Path) -> None:
    table(tmp_path, "f,c,l,t,r,b\na.jpg,ant,1,2,9,12\n")
    columns = {"path_column": "f", "label_column": "c", "box_columns": ["l", "t", "r", "b"]}
    assert boxes_of(read(tmp_path, **CSV, **columns))["images/a.jpg"] == [("ant", (1, 2, 9, 12))]
    with pytest.raises(DataError, match="box_columns"):
        read(tmp_path, **CSV, **{**columns, "box_columns": ["l", "t", "r", "x"]})
    with pytest.raises(DataError, match=r"no column 'g'.*path_column"):
        read(tmp_path, **CSV, **{**columns, "path_column": "g"})


def test_boxes_csv__passes_over_columns_without_a_name(tmp_path: Path) -> None:
    table(tmp_path, ",image,,xmin,ymin,xmax,ymax,\n0,a.jpg,ant,1,2,9,12,\n")
    assert boxes_of(read(tmp_path, **CSV))["images/a.jpg"] == [("ant", (1, 2, 9, 12))]
    table(tmp_path, ",image,,xmin,ymin,xmax,ymax,\n0,a.jpg,ant,1,2,9,12,x\n")
    with pytest.raises(DataError, match=r"no column for the class.*'column 3'"):
        read(tmp_path, **CSV)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        ("image,label,x,y", "no columns for the corners"),
        ("label,xmin,ymin,xmax,ymax", "no column for the image"),
        ("image,xmin,ymin,xmax,ymax,score", "no column for the class"),
    ],
)
def test_boxes_csv__says_which_column_it_lacks(tmp_path: Path, header, words) -> None:
    table(tmp_path, f"{header}\n" + ",".join("1" for _ in header.split(",")) + "\n")
    with pytest.raises(DataError, match=words):
        read(tmp_path, **CSV)


def test_boxes_csv__reads_an_image_without_objects_from_blank_corners(tmp_path: Path) -> None:
    table(tmp_path, "image,label,xmin,ymin,xmax,ymax\na.jpg,,,,,\nb.jpg,ant,1,2,3,4\n")
    reading = read(tmp_path, **CSV)
    assert boxes_of(reading)["images/a.jpg"] == []
    assert reading.left_out == []


def test_boxes_csv__tells_each_row_that_it_cannot_use(tmp_path: Path) -> None:
    rows = [
        "a.jpg,ant,1,2,x,4",
        "a.jpg,ant,,,,",
        "gone.jpg,ant,1,2,3,4",
        ",ant,1,2,3,4",
        "a.jpg,ant,1,2,3,4",
    ]
    table(tmp_path, "image,label,xmin,ymin,xmax,ymax\n" + "\n".join(rows))
    reading = read(tmp_path, **CSV)
    assert len(boxes_of(reading)["images/a.jpg"]) == 1
    assert [row for _, row, _ in reported(reading.left_out)] == ["boxes.csv:2", "boxes.csv:3"]
    assert reported(reading.quarantine) == [
        ("gone.jpg", "boxes.csv:4", "the file is missing; bring it, or take its row out"),
        ("", "boxes.csv:5", "blank path; fill it in"),
    ]
    assert any("1 images stand in no row" in finding for finding in reading.findings)


def test_boxes_csv__takes_splits_from_a_column_or_from_names_of_tables(tmp_path: Path) -> None:
    header = "image,label,xmin,ymin,xmax,ymax"
    table(
        tmp_path, f"{header},split,patient\na.jpg,ant,1,2,3,4,train,p\nb.jpg,ant,1,2,3,4,test,q\n"
    )
    reading = read(tmp_path, **CSV)
    assert splits_of(reading) == {"images/a.jpg": "train", "images/b.jpg": "test"}
    assert [row.group for row in reading.rows] == ["p", "q"]
    (tmp_path / "boxes.csv").unlink()
    table(tmp_path, f"{header}\na.jpg,ant,1,2,3,4\nb.jpg,ant,1,2,3,4\n", "train_labels.csv")
    table(tmp_path, f"{header}\nb.jpg,ant,5,5,9,9\n", "test-export.csv")
    reading = read(tmp_path, **CSV)
    assert splits_of(reading) == {"images/a.jpg": "train", "images/b.jpg": "test"}
    assert boxes_of(reading)["images/b.jpg"] == [("ant", (5, 5, 9, 9))]
    assert "listed in test and in train" in reading.left_out[0]["reason"]


def test_boxes_csv__reads_parquet_and_shares(tmp_path: Path) -> None:
    table(tmp_path, "")
    (tmp_path / "boxes.csv").unlink()
    rows = {"image": ["a.jpg"], "label": ["ant"], "x": [0.1], "y": [0.2], "w": [0.3], "h": [0.4]}
    pd.DataFrame(rows).to_parquet(tmp_path / "t.parquet")
    stated = read(tmp_path, **CSV, box_unit="share").rows[0].boxes
    assert stated is not None and stated.as_shares
    assert stated.boxes[0].xyxy == pytest.approx((0.1, 0.2, 0.4, 0.6))


def test_table__in_parquet_with_words_that_are_no_utf8_is_refused(tmp_path: Path) -> None:
    """It opens without a word: only who looks at the cells finds out."""
    ends, letters = np.array([0, 3], np.int32), b"\xff5x"
    word = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(ends), pa.py_buffer(letters)])
    pyarrow.parquet.write_table(pa.table({"image": word}), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as a table"):
        load_table(tmp_path / "t.parquet")


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/hostname", "link.jpg", "..\\secret.jpg"])
def test_boxes_csv__never_reaches_out_of_the_raw_folder(tmp_path: Path, name) -> None:
    picture(tmp_path / "secret.jpg")
    root = tmp_path / "raw"
    table(root, f"image,label,xmin,ymin,xmax,ymax\n{name},ant,1,2,3,4\na.jpg,ant,1,2,3,4\n")
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    reading = read(root, **CSV)
    assert list(boxes_of(reading)) == ["images/a.jpg"]
    assert name in [row["file"] for row in reading.quarantine]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.sampled_from("ab"), *[st.floats(-1e4, 1e4) for _ in range(4)]),
        min_size=1,
        max_size=6,
    )
)
def test_boxes_csv__gives_back_what_was_written(tmp_path_factory, rows) -> None:
    root = tmp_path_factory.mktemp("csv")
    lines = [f"{name}.jpg,ant,{','.join(map(repr, box))}" for name, *box in rows]
    table(root, "image,label,xmin,ymin,xmax,ymax\n" + "\n".join(lines))
    found = boxes_of(read(root, **CSV))
    for name in {name for name, *_ in rows}:
        expected = [("ant", tuple(box)) for other, *box in rows if other == name]
        assert found[f"images/{name}.jpg"] == expected
