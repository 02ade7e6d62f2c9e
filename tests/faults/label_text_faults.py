"""Bad labels of whole images, and files that are no sound text."""

from pathlib import Path

from label_box_faults import coco_box
from label_cells import (
    APART,
    CELLS,
    COMPOSED,
    PAIRS,
    PLACES,
    TRUTH_OF,
    Cell,
    Spoil,
    append,
    edit_json,
)
from label_sets import box_of, corners_of, shape, voc_object, voc_text, write

# --- whole images --------------------------------------------------------------------------------


def in_class(label: str, *others: str) -> Spoil:
    """Image 03 in a class folder of this name, where image 05 lies in the other."""

    def spoil(root: Path) -> None:
        for number, name in zip(("03", "05"), (label, *others), strict=False):
            (root / name).mkdir()
            (root / f"bee/{number}.png").rename(root / f"{name}/{number}.png")

    return spoil


def in_table(label: str, *others: str) -> Spoil:
    def spoil(root: Path) -> None:
        text = (root / "table.csv").read_text()
        for number, name in zip(("03", "05"), (label, *others), strict=False):
            text = text.replace(f"{number}.png,bee", f"{number}.png,{name}")
        write(root / "table.csv", text)

    return spoil


for one, put in (("folders", in_class), ("table", in_table)):
    CELLS[one, "class case"] = Cell(put("Bee"), "case or blanks only", image="changes")
    CELLS[one, "class blanks"] = Cell(put("b ee"), "case or blanks only", image="changes")
    CELLS[one, "class spelled twice"] = Cell(
        put(COMPOSED, APART), "taken for one", image="changes", beside=("05.png",)
    )
CELLS["table", "class padded"] = Cell(in_table("bee "), "have blanks around them")
CELLS["folders", "class padded"] = Cell(in_class("bee "), "case or blanks only", image="changes")
CELLS["table", "class missing"] = Cell(in_table(""), "blank label", "03.png table.csv:5", "goes")
CELLS["table", "label cut off"] = Cell(
    lambda root: append(root / "table.csv", "0"), "blank label; fill it in", "0 table.csv:14"
)
# --- files that are no sound text ----------------------------------------------------------------

BOMB = "<!DOCTYPE b [" + '<!ENTITY a "ha">' + "".join(
    f'<!ENTITY a{i} "{f"&a{i - 1 if i else str()};" * 10}">' for i in range(10)
) + "]>"  # fmt: skip
for one in ("voc", "labelme", "labelme_masks"):

    def plant_bomb(root: Path, one: str = one) -> None:
        if one != "voc":
            (root / "03.json").unlink()
        path = "xml/03.xml" if one == "voc" else "03.xml"
        write(root / path, voc_text(voc_object("&a9;", *box_of(3)), head=BOMB))

    file = "images/03.png xml/03.xml" if one == "voc" else "03.png 03.xml"
    CELLS[one, "XML of entities"] = Cell(
        plant_bomb, "declares a document type; remove the DOCTYPE line", file, "goes"
    )
CELLS["voc", "label cut off"] = Cell(
    lambda root: write(root / "xml/03.xml", voc_text()[:30]), "no sound XML",
    "images/03.png xml/03.xml", "goes",
)  # fmt: skip
CELLS["coco", "label cut off"] = Cell(
    lambda root: write(root / "all.json", (root / "all.json").read_text()[:-9]),
    "no COCO annotation", image="stops",
)  # fmt: skip
CELLS["yolo", "label cut off"] = Cell(
    lambda root: append(root / "labels/03.txt", "1 0.5"), "line of 2 numbers", PLACES["yolo"]
)
CELLS["boxes_csv", "label cut off"] = Cell(
    lambda root: append(root / "boxes.csv", "03.png,40,30,bee,1,1"), "no four numbers",
    PLACES["boxes_csv"],
)  # fmt: skip
for one in PAIRS:

    def cut(root: Path, one: str = one) -> None:
        path = root / TRUTH_OF[one]
        path.write_bytes(path.read_bytes()[:-30])

    CELLS[one, "label cut off"] = Cell(cut, "cannot be decoded", TRUTH_OF[one], "goes")
for one in ("labelme", "labelme_masks"):
    CELLS[one, "label cut off"] = Cell(
        lambda root: write(root / "03.json", '{"shapes": ['), "no sound JSON", "03.png 03.json",
        "goes",
    )  # fmt: skip
    CELLS[one, "JSON nested deeply"] = Cell(
        lambda root: write(root / "03.json", "[" * 100_000), "no sound JSON", "03.png 03.json",
        "goes",
    )  # fmt: skip
    CELLS[one, "half a code point"] = Cell(
        lambda root: edit_json(root / "03.json", lambda r: r["shapes"].append(
            shape("a\ud800", corners_of(3)))),
        "whose name is no text", PLACES[one],
    )  # fmt: skip
    CELLS[one, "truth empty"] = Cell(
        lambda root: write(root / "03.json", ""), "no sound JSON", "03.png 03.json", "goes"
    )
for one, said in (
    ("coco", "no COCO annotation with boxes"),
    ("boxes_csv", "boxes.csv cannot be read as a table; found: there is no row"),
    ("table", "table.csv cannot be read as a table; found: there is no row"),
):
    CELLS[one, "truth empty"] = Cell(
        lambda root, one=one: write(root / TRUTH_OF[one], ""),  # type: ignore[misc]
        said, image="stops",
    )  # fmt: skip
CELLS["voc", "truth empty"] = Cell(
    lambda root: write(root / "xml/03.xml", ""), "no sound XML", "images/03.png xml/03.xml", "goes"
)
CELLS["coco", "JSON nested deeply"] = Cell(
    lambda root: write(root / "all.json", "[" * 100_000), "no COCO annotation", image="stops"
)
CELLS["coco", "half a code point"] = Cell(
    lambda root: coco_box(root, "a\ud800", 1, 1, 9, 9), "a name that is no text (a\\ud800)",
)  # fmt: skip
CELLS["yolo", "half a code point"] = Cell(
    lambda root: write(root / "data.yaml", 'names: [ant, "b\\ud800"]\n'), "names that are no words",
    image="stops",
)  # fmt: skip
MERGED = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)
)
NESTED = "a0: &a0 [ant, bee]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)
CELLS["yolo", "YAML of aliases"] = Cell(
    lambda root: write(root / "data.yaml", f"{NESTED}names: *a11\n"), "names that are no words",
    image="stops",
)  # fmt: skip
CELLS["yolo", "YAML of merges"] = Cell(
    lambda root: write(root / "data.yaml", f"{MERGED}names: [ant, bee]\n"), "merge keys (<<)",
    image="stops",
)  # fmt: skip
