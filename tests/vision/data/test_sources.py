"""Sources: class folders and tables become rows; what cannot be used is refused by name."""

import json
from pathlib import Path
from unicodedata import normalize

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from graft.vision.data.options import SourceOptions
from graft.vision.data.sources import SourceReading, read_source
from graft.vision.data.sources.torchvision import export_torchvision
from graft.vision.errors import DataError, OptionsError

TABLE = {"layout": "table"}


def tree(root: Path, *names: str) -> Path:
    """A file for each name: a small image, or some text."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix in (".png", ".jpg", ".JPEG"):
            Image.fromarray(np.full((4, 4), number, np.uint8)).save(path)
        else:
            path.write_text("some text")
    return root


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A raw folder with 0.png ... 3.png; and, outside of it, secret.png."""
    tree(tmp_path, "secret.png")
    return tree(tmp_path / "raw", *(f"{n}.png" for n in range(4)))


def read(root: Path, text: str | bytes | None = None, **options) -> SourceReading:
    if text is not None:
        data = text.encode() if isinstance(text, str) else text
        (root / "table.csv").write_bytes(data)
    return read_source(root, SourceOptions(**options))


def labels(reading: SourceReading) -> dict[str, str]:
    return {row.path: "|".join(json.loads(row.truth)["classes"]) for row in reading.rows}


def refused(reading: SourceReading) -> dict[str, str]:
    return {row["file"]: row["reason"] for row in reading.quarantine}


# --- class folders -------------------------------------------------------------------------------


def test_folders__name_the_class(tmp_path: Path) -> None:
    reading = read(tree(tmp_path, "ant/1.png", "ant/deep/er/2.jpg", "bee/1.JPEG"))
    assert labels(reading) == {"ant/1.png": "ant", "ant/deep/er/2.jpg": "ant", "bee/1.JPEG": "bee"}
    assert {row.given_split for row in reading.rows} == {""}


@pytest.mark.parametrize("names", [("train", "val", "test"), ("Training", "valid", "Final_Test")])
def test_folders__keep_a_given_split(tmp_path: Path, names) -> None:
    files = [f"{split}/{name}/1.png" for split in names for name in ("ant", "bee")]
    reading = read(tree(tmp_path, *files))
    given = {row.path: row.given_split for row in reading.rows}
    for split, ours in zip(names, ("train", "val", "test"), strict=True):
        assert given[f"{split}/ant/1.png"] == given[f"{split}/bee/1.png"] == ours
    assert set(labels(reading).values()) == {"ant", "bee"}


def test_folders__pass_through_folders_that_leave_no_choice(tmp_path: Path) -> None:
    tree(tmp_path, "Set/v1/train/Images/ant/1.png", "Set/v1/train/Images/bee/1.png")
    tree(tmp_path, "Set/v1/test/Images/ant/1.png", "Set/v1/test/Images/bee/1.png")
    reading = read(tmp_path)
    assert set(labels(reading).values()) == {"ant", "bee"}
    assert {row.given_split for row in reading.rows} == {"train", "test"}


def test_folders__pass_over_hidden_files_and_refuse_others_by_name(tmp_path: Path) -> None:
    tree(tmp_path, "ant/1.png", "bee/1.png", "ant/.DS_Store", "ant/Thumbs.db", ".git/x.png")
    tree(tmp_path, "ant/virus.exe", "bee/noending", "bee/GT.csv", "ant/__MACOSX/1.png")
    reading = read(tmp_path)
    assert set(labels(reading)) == {"ant/1.png", "bee/1.png"}
    assert set(refused(reading)) == {"ant/virus.exe", "bee/noending"}
    assert "ends with .exe" in refused(reading)["ant/virus.exe"]


def test_folders__refuse_links_that_leave_the_raw_folder(tmp_path: Path) -> None:
    tree(tmp_path, "secret.png")
    raw = tree(tmp_path / "raw", "ant/1.png", "bee/1.png")
    (raw / "ant/out.png").symlink_to(tmp_path / "secret.png")
    (raw / "ant/in.png").symlink_to(raw / "bee/1.png")
    (raw / "bee/dead.png").symlink_to(raw / "nowhere.png")
    (raw / "bee/all").symlink_to(tmp_path, target_is_directory=True)
    reading = read(raw)
    assert refused(reading) == {
        "ant/out.png": "a link that leaves the raw folder; bring the file itself",
        "bee/dead.png": "not a regular file; bring the file itself",
    }
    assert set(labels(reading)) == {"ant/1.png", "ant/in.png", "bee/1.png"}


def test_folders__refuse_names_that_are_not_utf8(tmp_path: Path) -> None:
    tree(tmp_path, "ant/1.png", "bee/1.png")
    (tmp_path / "ant/1.png").rename(str(tmp_path / "ant") + "/\udcff.png")
    reading = read(tmp_path)
    assert refused(reading) == {"ant/\\udcff.png": "the name is not UTF-8; rename the file"}


def test_folders__say_what_they_leave_out(tmp_path: Path) -> None:
    tree(tmp_path, "train/ant/1.png", "train/bee/1.png", "test/ant/1.png", "test/bee/1.png")
    tree(tmp_path, "train/stray.png", "extra/ant/2.png", "test/none/note.txt")
    findings = " ".join(read(tmp_path).findings)
    assert "2 images lie outside the class folders" in findings
    assert "train/stray.png" in findings and "extra/ant/2.png" in findings
    assert "class folder test/none holds no image" in findings


def test_folders__never_merge_names_that_differ_in_case_but_say_so(tmp_path: Path) -> None:
    reading = read(tree(tmp_path, "Ant/1.png", "ant/1.png", "bee/1.png"))
    assert set(labels(reading).values()) == {"Ant", "ant", "bee"}
    assert any("case or blanks" in finding for finding in reading.findings)


def test_folders__follow_no_links_to_folders_and_say_so(tmp_path: Path) -> None:
    tree(tmp_path, "outside/secret.png", "raw/ant/1.png", "raw/bee/1.png")
    for name in ("wasp", "ant/more"):
        (tmp_path / "raw" / name).symlink_to(tmp_path / "outside", target_is_directory=True)
    reading = read(tmp_path / "raw")
    assert set(labels(reading)) == {"ant/1.png", "bee/1.png"}
    assert "links to folders are not followed: ant/more, wasp" in reading.findings


def test_folders__doubt_classes_that_hold_splits(tmp_path: Path) -> None:
    reading = read(tree(tmp_path, "v1/train/ant/1.png", "v1/val/ant/1.png", "v2/test/bee/1.png"))
    assert any("class folder v1 holds folders named like splits" in f for f in reading.findings)


@pytest.mark.parametrize("layout", ["folders", "table"])
def test_source__takes_two_unicode_spellings_of_a_class_for_one(tmp_path: Path, layout) -> None:
    composed, taken_apart = (normalize(form, "café") for form in ("NFC", "NFD"))
    assert composed != taken_apart
    tree(tmp_path, f"train/{composed}/1.png", "train/bee/1.png", f"test/{taken_apart}/1.png")
    cells = [f"train/{composed}/1.png,{composed}", f"test/{taken_apart}/1.png,{taken_apart}"]
    text = "\n".join(["path,label", *cells, "train/bee/1.png,bee"])
    reading = read(tmp_path, text, layout=layout)
    assert set(labels(reading).values()) == {composed, "bee"}
    assert f"class names in two Unicode spellings are taken for one: {composed}" in reading.findings


def test_source__takes_detours_out_of_paths(tmp_path: Path) -> None:
    tree(tmp_path, "ant/1.png", "bee/1.png", "tables/none.txt")
    (tmp_path / "tables/t.csv").write_text("path,label\nant/1.png,ant\nbee/1.png,bee\n")
    assert set(labels(read(tmp_path, folder="ant/.."))) == {"ant/1.png", "bee/1.png"}
    reading = read(tmp_path, **TABLE, folder="tables", images_folder="..")
    assert set(labels(reading)) == {"ant/1.png", "bee/1.png"}


# --- groups that are declared --------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["folders", "table"])
def test_groups__that_are_declared_and_match_nothing_are_refused(tmp_path, layout) -> None:
    tree(tmp_path, "ant/1.png", "bee/1.png")
    text = "path,label\nant/1.png,ant\nbee/1.png,bee\n"
    with pytest.raises(DataError) as refusal:
        read(tmp_path, text, layout=layout, group_pattern=r"patient(\d+)")
    for part in ("no image has a group", r"patient(\\d+)", "ant/1.png", "next: correct"):
        assert part in str(refusal.value)


def test_groups__of_a_declared_column_of_blanks_are_refused(images) -> None:
    text = "path,label,patient\n0.png,a,\n1.png,b, \n"
    with pytest.raises(DataError, match="no image has a group, though 'patient' declares"):
        read(images, text, **TABLE, group_column="patient")
    assert {row.group for row in read(images, text, **TABLE).rows} == {""}


def test_groups__say_which_images_have_none(images) -> None:
    reading = read(images, "path,label,patient\n0.png,a,p1\n1.png,b,\n2.png,b,p1\n", **TABLE)
    assert "1 of 3 images have no group and stand alone: 1.png" in reading.findings


def test_folders__find_groups_in_paths(tmp_path: Path) -> None:
    tree(tmp_path, "ant/p7_1.png", "bee/p7_2.png", "bee/p8_1.png", "bee/odd.png")
    groups = {row.path: row.group for row in read(tmp_path, group_pattern=r"p(\d+)_").rows}
    assert groups == {
        "ant/p7_1.png": "7",
        "bee/p7_2.png": "7",
        "bee/p8_1.png": "8",
        "bee/odd.png": "",
    }
    with pytest.raises(OptionsError, match="not a regular expression"):
        read(tmp_path, group_pattern=r"p(\d+_")


def test_source__says_when_there_is_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no raw data at"):
        read(tmp_path / "absent")
    with pytest.raises(DataError, match="no image with a label"):
        read(tree(tmp_path, "ant/note.txt"))


@pytest.mark.parametrize("layout", ["folders", "table"])
@pytest.mark.parametrize("folder", ["absent", "..", "../other", "/"])
def test_source__refuses_a_folder_that_is_not_in_the_raw_folder(tmp_path, folder, layout) -> None:
    tree(tmp_path, "other/ant/1.png", "raw/ant/1.png", "raw/bee/1.png")
    with pytest.raises(DataError, match="no folder"):
        read(tmp_path / "raw", folder=folder, layout=layout)


# --- tables --------------------------------------------------------------------------------------


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("bom", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_table__finds_delimiter_and_byte_order_mark(images, delimiter, bom, newline) -> None:
    rows = (("path", "label"), ("0.png", "ant"), ("1.png", "bée"), ("2.png", "ant"))
    text = newline.join(delimiter.join(row) for row in rows)
    reading = read(images, bom + text.encode(), **TABLE)
    assert labels(reading) == {"0.png": "ant", "1.png": "bée", "2.png": "ant"}
    assert [row.row for row in reading.rows] == ["table.csv:2", "table.csv:3", "table.csv:4"]


def test_table__reads_latin1_quotes_and_labels_that_look_like_nothing(images) -> None:
    reading = read(
        images,
        'path,label\n0.png,"a, b"\n1.png,caf\xe9\n2.png,NA\n3.png,None\n'.encode("latin-1"),
        **TABLE,
    )
    assert list(labels(reading).values()) == ["a, b", "café", "NA", "None"]


def test_table__reads_what_spreadsheets_write(images) -> None:
    reading = read(images, "path\tlabel\n0.png\té\n1.png\tb\n".encode("utf-16"), **TABLE)
    assert labels(reading) == {"0.png": "é", "1.png": "b"}
    reading = read(images, b"path,label\n0.png,l\x92ant\n1.png,b\n", **TABLE)
    assert labels(reading) == {"0.png": "l’ant", "1.png": "b"}
    assert "table.csv is not UTF-8; it was read as cp1252" in reading.findings


def test_table__counts_its_rows_with_the_blank_ones(images) -> None:
    reading = read(images, "\npath,label\n\n0.png,a\n,\n9.png,b\n1.png\n2.png,b\n\n", **TABLE)
    assert [row.row for row in reading.rows] == ["table.csv:4", "table.csv:8"]
    assert [(row["row"], row["reason"]) for row in reading.quarantine] == [
        ("table.csv:6", "the file is missing; bring it, or take its row out"),
        ("table.csv:7", "blank label; fill it in"),
    ]


def test_table__finds_files_whose_names_are_spelled_in_other_bytes(images) -> None:
    (images / "0.png").rename(images / normalize("NFD", "é.png"))
    reading = read(images, normalize("NFC", "path,label\né.png,a\n1.png,b\n"), **TABLE)
    assert labels(reading) == {normalize("NFD", "é.png"): "a", "1.png": "b"}


def test_table__compares_class_names_as_folders_are(images) -> None:
    reading = read(images, "path,label\n0.png,Red Ant\n1.png,red ant\n2.png,bee\n", **TABLE)
    alike = "class names differ in case or blanks only: 'Red Ant', 'red ant'"
    assert any(finding.startswith(alike) for finding in reading.findings)


def test_table__finds_columns_whatever_the_case_and_signs_of_their_names(images) -> None:
    text = "Image Name,CLASS,Patient-ID\n0.png,a,p1\n1.png,b,p2\n"
    assert [row.group for row in read(images, text, **TABLE).rows] == ["p1", "p2"]


def test_table__lists_each_row_without_use_with_its_number(images) -> None:
    cells = ["0.png,ant", "1.png,", ",bee", "9.png,bee", "0.png,ant", "0.png,bee", "2.png,  "]
    text = "\n".join(["path,label", *cells, "3.png,bee"])
    reading = read(images, text, **TABLE)
    assert labels(reading) == {"0.png": "ant", "3.png": "bee"}
    assert [(row["row"], row["file"], row["reason"]) for row in reading.quarantine] == [
        ("table.csv:3", "1.png", "blank label; fill it in"),
        ("table.csv:4", "", "blank path; fill it in"),
        ("table.csv:5", "9.png", "the file is missing; bring it, or take its row out"),
        ("table.csv:6", "0.png", "listed again, with the same label; keep one row"),
        ("table.csv:7", "0.png", "listed again, with another label; keep one row"),
        ("table.csv:8", "2.png", "blank label; fill it in"),
    ]


@pytest.mark.parametrize(
    "name",
    [
        "../secret.png",
        "sub/../../secret.png",
        "..\\secret.png",
        "./.././secret.png",
        "ABSOLUTE",
        "/etc/hostname",
        "//server/share/x.png",
        "C:\\x\\secret.png",
        "C:secret.png",
        "\\\\server\\share\\x.png",
    ],
)
def test_table__refuses_paths_that_leave_the_root_by_name(images: Path, name) -> None:
    name = str(images.parent / "secret.png") if name == "ABSOLUTE" else name
    reading = read(images, f"path,label\n{name},ant\n0.png,bee\n", **TABLE)
    assert labels(reading) == {"0.png": "bee"}
    assert refused(reading) == {name: "the path leaves the raw folder; state it from there"}


@pytest.mark.parametrize(
    "name", ["~/secret.png", "‥/secret.png", "．．/secret.png", "%2e%2e/secret.png", "x" * 5000]
)
def test_table__finds_no_file_by_a_look_alike_of_the_way_out(images, name) -> None:
    reading = read(images, f"path,label\n{name},ant\n0.png,bee\n", **TABLE)
    assert refused(reading) == {name: "the file is missing; bring it, or take its row out"}


@settings(max_examples=200, deadline=None)
@given(
    parts=st.lists(
        st.sampled_from(["..", ".", "", "raw", "deep", "secret.png", "0.png", "out", "C:", "~"]),
        min_size=1,
        max_size=6,
    ),
    joint=st.sampled_from(["/", "\\", "//"]),
)
def test_table__never_leads_out_of_the_raw_folder(tmp_path_factory, parts, joint) -> None:
    root = tmp_path_factory.getbasetemp() / "ways_out"
    if not root.exists():
        tree(root, "secret.png", "raw/0.png", "raw/1.png", "raw/deep/0.png")
        (root / "raw/out").symlink_to(root, target_is_directory=True)
    raw = root / "raw"
    reading = read(raw, f'path,label\n"{joint.join(parts)}",ant\n1.png,bee\n', **TABLE)
    for row in reading.rows:
        assert (raw / row.path).resolve().is_relative_to(raw.resolve())
        assert ".." not in row.path
    assert len({row.path for row in reading.rows}) == len(reading.rows)


def test_table__refuses_links_that_leave_the_root(images: Path) -> None:
    (images / "out.png").symlink_to(images.parent / "secret.png")
    (images / "up").symlink_to(images.parent, target_is_directory=True)
    text = "path,label\nout.png,ant\nup/secret.png,ant\n0.png,bee\n"
    assert set(refused(read(images, text, **TABLE)).values()) == {
        "a link that leaves the raw folder; bring the file itself"
    }


def test_table__knows_one_file_by_all_its_spellings(images) -> None:
    reading = read(images, "path,label\n0.png,ant\n./0.png,ant\n.//0.png,bee\n1.png,bee\n", **TABLE)
    assert labels(reading) == {"0.png": "ant", "1.png": "bee"}


def test_table__reads_split_and_group_where_they_are(images) -> None:
    text = "path,label,fold,patient\n0.png,a,train,p1\n1.png,b,Validation,p1\n2.png,a,test,\n"
    reading = read(images, text, **TABLE)
    assert [row.given_split for row in reading.rows] == ["train", "val", "test"]
    assert [row.group for row in reading.rows] == ["p1", "p1", ""]
    text = "path,label,s,g\n0.png,a,train,x\n1.png,b,test,y\n"
    reading = read(images, text, **TABLE, split_column="s", group_column="g")
    assert [(row.given_split, row.group) for row in reading.rows] == [("train", "x"), ("test", "y")]


def test_table__says_when_its_split_words_are_unknown(images) -> None:
    reading = read(images, "path,label,split\n0.png,a,fold1\n1.png,b,fold2\n", **TABLE)
    assert [row.given_split for row in reading.rows] == ["", ""]
    assert any("fold1" in finding and "split" in finding for finding in reading.findings)


def test_table__refuses_a_declared_split_column_that_names_no_split(images) -> None:
    with pytest.raises(DataError, match=r"column 's' of table.csv names no split; found: x, y"):
        read(images, "path,label,s\n0.png,a,x\n1.png,b,y\n", **TABLE, split_column="s")


def test_table__is_not_read_from_outside_the_raw_folder(images) -> None:
    outside = images.parent / "outside.csv"
    outside.write_text("path,label\n0.png,a\n1.png,b\n")
    (images / "link.csv").symlink_to(outside)
    for name in ("../outside.csv", str(outside), "link.csv"):
        with pytest.raises(DataError, match="is not in"):
            read(images, **TABLE, table=(name,))
    with pytest.raises(DataError, match="no table in"):
        read(images, **TABLE)


@pytest.mark.parametrize("role", ["path", "label", "split", "group"])
def test_table__refuses_a_declared_column_that_is_absent(images, role) -> None:
    column = {f"{role}_column": "pacient"}
    with pytest.raises(DataError, match=f"no column 'pacient'.*patient.*{role}_column"):
        read(images, "path,label,patient\n0.png,a,p1\n", **TABLE, **column)


def test_table__refuses_absent_label_columns_and_tables_without_roles(images) -> None:
    with pytest.raises(DataError, match="lacks label columns"):
        read(images, "path,x\n0.png,1\n", **TABLE, label_columns=("x", "y"))
    with pytest.raises(DataError, match="no column for label"):
        read(images, "path,colour\n0.png,1\n", **TABLE)
    with pytest.raises(DataError, match="no column for path"):
        read(images, "where,label\n0.png,1\n", **TABLE)
    with pytest.raises(DataError, match=r"gone\.csv is not in"):
        read(images, **TABLE, table=("gone.csv",))
    (images / "table.csv").unlink()
    with pytest.raises(DataError, match="no table in"):
        read(images, **TABLE)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "path,label\n0.png,a\n1.png,b,c\n",
        "path,label\n0.png,red,green\n1.png,b\n",  # else half of the first label would be lost
        'path,label\n"0.png,a\n1.png,b\n',
        "\n\n",
        "path,label,label\n0.png,a,b\n",
    ],
)
def test_table__refuses_what_cannot_be_read_as_a_table_by_name(images, text) -> None:
    with pytest.raises(DataError, match=r"table\.csv cannot be read as a table"):
        read(images, text, **TABLE)


def test_table__takes_one_label_per_class_and_image(images) -> None:
    text = "path,labels\n0.png,cat|dog|cat\n1.png, dog \n2.png,\n"
    reading = read(images, text, **TABLE, multi_label=True)
    assert labels(reading) == {"0.png": "cat|dog", "1.png": "dog", "2.png": ""}
    text = "path,labels\n0.png,cat dog\n1.png,dog\n"
    reading = read(images, text, **TABLE, multi_label=True, label_delimiter=" ")
    assert labels(reading) == {"0.png": "cat|dog", "1.png": "dog"}


def test_table__reads_classes_from_columns_of_flags(images) -> None:
    text = "path,cat,dog\n0.png,1,0\n1.png,1,1\n2.png,0,0\n3.png,True,1.0\n"
    flags = {"label_columns": ("cat", "dog")}
    many = read(images, text, **TABLE, **flags, multi_label=True)
    assert list(labels(many).values()) == ["cat", "cat|dog", "", "cat|dog"]
    several = "several labels; keep one, or set ingestion.source.multi_label"
    one = {"1.png": several, "2.png": "blank label; fill it in", "3.png": several}
    assert refused(read(images, text, **TABLE, **flags)) == one


def test_table__refuses_flags_that_are_neither_yes_nor_no(images) -> None:
    text = "path,cat,dog\n0.png,1,-1\n1.png,,1\n2.png,0.7,1\n"
    reading = read(images, text, **TABLE, label_columns=("cat", "dog"), multi_label=True)
    assert labels(reading) == {"1.png": "dog"}
    assert refused(reading) == {
        "0.png": "column 'dog' holds '-1', neither 0 nor 1; correct it",
        "2.png": "column 'cat' holds '0.7', neither 0 nor 1; correct it",
    }


def test_table__says_the_same_truth_whatever_the_order_of_labels(images) -> None:
    text = "path,label\n0.png,dog|cat\n1.png,cat|dog\n"
    first, second = read(images, text, **TABLE, multi_label=True).rows
    assert first.truth == second.truth == '{"classes": ["cat", "dog"]}'


def test_table__refuses_a_label_that_holds_what_joins_labels(images) -> None:
    text = "path,label\n0.png,cat;a|b\n1.png,dog\n"
    reading = read(images, text, **TABLE, multi_label=True, label_delimiter=";", delimiter=",")
    assert labels(reading) == {"1.png": "dog"}
    assert "'|'" in refused(reading)["0.png"]


@pytest.mark.parametrize("setting", [{"delimiter": ""}, {"label_delimiter": ""}])
def test_source_options__refuse_delimiters_of_nothing(setting) -> None:
    with pytest.raises(OptionsError, match="at least 1 character"):
        SourceOptions.parse(setting, "test")


def test_table__reads_parquet_as_it_reads_csv(images) -> None:
    table = pd.DataFrame(
        {
            "file": ["0.png", "1.png", "2.png", "../secret.png"],
            "class": [3, 4, 3, 4],
            "split": ["train", "test", "train", None],
            "patient": ["p", None, "q", "q"],
        }
    )
    table.to_parquet(images / "t.parquet")
    parquet = read(images, **TABLE)
    (images / "t.parquet").unlink()
    table.to_csv(images / "t.csv", index=False)
    csv = read(images, **TABLE)
    assert [(r.path, r.truth, r.given_split, r.group) for r in parquet.rows] == [
        (r.path, r.truth, r.given_split, r.group) for r in csv.rows
    ]
    assert labels(parquet) == {"0.png": "3", "1.png": "4", "2.png": "3"}
    assert (
        refused(parquet)
        == refused(csv)
        == {"../secret.png": "the path leaves the raw folder; state it from there"}
    )


def test_table__refuses_parquet_that_is_broken_or_holds_lists(images) -> None:
    pd.DataFrame({"path": ["0.png"], "labels": [["a", "b"]]}).to_parquet(images / "t.parquet")
    with pytest.raises(DataError, match=r"t\.parquet holds lists.*labels"):
        read(images, **TABLE, multi_label=True)
    (images / "t.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"t\.parquet cannot be read as a table"):
        read(images, **TABLE)


def test_table__joins_several_tables_and_finds_images_in_a_folder(tmp_path: Path) -> None:
    tree(tmp_path, "set/images/0.png", "set/images/1.png")
    (tmp_path / "set/a.csv").write_text("path,label,split\n0.png,ant,train\n")
    (tmp_path / "set/b.csv").write_text("path,label,split\n1.png,bee,test\n0.png,ant,test\n")
    options = {"folder": "set", "images_folder": "images", "table": ("a.csv", "b.csv")}
    reading = read(tmp_path, **TABLE, **options)
    assert labels(reading) == {"set/images/0.png": "ant", "set/images/1.png": "bee"}
    assert reading.quarantine == [
        {
            "file": "0.png",
            "row": "b.csv:3",
            "reason": "listed again, with the same label; keep one row",
        }
    ]


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8),
        min_size=2,
        max_size=6,
    ),
    delimiter=st.sampled_from([",", ";", "\t"]),
)
def test_table__returns_any_label_that_was_written(tmp_path_factory, names, delimiter) -> None:
    root = tree(tmp_path_factory.mktemp("raw"), *(f"{n}.png" for n in range(len(names))))
    assume(len({normalize("NFC", name) for name in names}) == len(set(names)))
    table = pd.DataFrame({"path": [f"{n}.png" for n in range(len(names))], "label": names})
    table.to_csv(root / "t.csv", index=False, sep=delimiter)
    assert list(labels(read(root, **TABLE)).values()) == names


def test_source__without_an_export_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"CIFAR10 has not been exported.*torchvision CIFAR10"):
        read(tmp_path, layout="torchvision", dataset="CIFAR10")


class BySplit:
    """As most sets of torchvision are opened."""

    classes = ("ant/fire", "bee")

    def __init__(self, root: Path, split: str, download: bool) -> None:
        if split == "test":
            raise ValueError("Unknown value 'test' for argument split")

    def __getitem__(self, number: int) -> tuple[Image.Image, int]:
        if number > 3:
            raise IndexError
        return Image.new("L", (4, 4), number), number % 2


class ByFlag(BySplit):
    """As MNIST and CIFAR are opened."""

    def __init__(self, root: Path, train: bool, download: bool) -> None:
        pass


@pytest.mark.parametrize(("kind", "given"), [(BySplit, "train val"), (ByFlag, "train test")])
def test_export__writes_class_folders_of_the_splits_there_are(
    tmp_path, monkeypatch, kind, given
) -> None:
    from torchvision import datasets

    monkeypatch.setattr(datasets, "CIFAR10", kind)
    assert export_torchvision("CIFAR10", tmp_path, download=False) == 8
    reading = read(tmp_path, layout="torchvision", dataset="CIFAR10")
    assert {row.given_split for row in reading.rows} == set(given.split())
    assert set(labels(reading).values()) == {"ant_fire", "bee"}


def test_export__refuses_unknown_sets_and_those_without_one_class_per_image(
    tmp_path, monkeypatch
) -> None:
    from torchvision import datasets

    monkeypatch.setattr(datasets, "CIFAR10", ByFlag)
    monkeypatch.setattr(ByFlag, "__getitem__", lambda *_: (Image.new("L", (4, 4)), {"boxes": []}))
    with pytest.raises(DataError, match="CIFAR10 has no one class per image; found: dict"):
        export_torchvision("CIFAR10", tmp_path, download=False)
    with pytest.raises(DataError, match=r"no set 'CIFAR1O' \(did you mean 'CIFAR10'"):
        export_torchvision("CIFAR1O", tmp_path, download=False)
