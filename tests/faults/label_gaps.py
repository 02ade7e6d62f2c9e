"""Which faults a layout cannot have, each with the reason."""

from label_faults import BOXES, MASKS, PAIRS, WHOLE
from label_sets import SETS

_EVERY = tuple(SETS)


def _but(*sets: str) -> tuple[str, ...]:
    return tuple(name for name in _EVERY if name not in sets)


_REASONS: tuple[tuple[tuple[str, ...], tuple[str, ...], str], ...] = (
    (
        ("box outside", "box beyond", "box inverted", "box of NaN", "box twice",
         "box without area"),
        (*PAIRS, *WHOLE), "it holds no boxes",
    ),
    (("box inverted",), ("labelme", "labelme_masks"), "points of a polygon stand in any order"),
    (("box twice",), ("labelme_masks",), "drawn twice, the same pixels have the same class"),
    (
        ("class case", "class blanks", "class spelled twice", "class unknown", "class missing",
         "class padded", "half a code point"),
        ("instances",), "its one class is named in the options",
    ),
    (("class missing",), ("yolo", "masks", "listed_masks"), "classes are numbers"),
    (("class missing",), ("folders",), "a folder has a name"),
    (("class padded",), ("masks", "listed_masks"), "a line of a list is a name, less its blanks"),
    (("class unknown",), ("masks", "listed_masks"), "the same as an undefined mask value"),
    (("class unknown",), WHOLE, "each name there is, is a class"),
    (
        ("mask value undefined", "mask of three channels", "mask judged nowhere"),
        (*BOXES, *WHOLE), "it holds no mask files",
    ),
    (
        ("mask value undefined", "mask of three channels"), ("instances",),
        "each value and each colour is an object",
    ),
    (("mask judged nowhere",), ("instances",), "what is no object is the rest"),
    (
        ("mask of three channels", "mask judged nowhere"), ("labelme_masks",),
        "polygons have no values",
    ),
    (("size stated wrong",), ("yolo", *WHOLE), "it states no size"),
    (("label cut off", "truth empty"), ("folders",), "the truth is the folder's name"),
    (("truth empty",), ("yolo",), "an empty text says that there is no object"),
    (("label without image",), ("folders",), "the truth is where the image lies"),
    (("label linked from outside", "label that is a pipe", "label of gigabytes"), ("folders",),
     "there is no file of it"),
    (
        ("label without entry",), _but("coco"), "images and labels are not listed apart",
    ),
    (("id twice",), ("folders",), "a folder holds a name once"),
    (("id twice, otherwise",), _but("table"), "told as an id that stands twice, whatever it says"),
    (
        ("path that leaves the root", "path from the system's root"),
        ("masks", "instances", "folders"), "no file states a path",
    ),
    (("XML of entities",), _but("voc", "labelme", "labelme_masks"), "it holds no XML"),
    (
        ("JSON nested deeply",), ("voc", "yolo", "boxes_csv", "instances", *WHOLE),
        "it holds no JSON",
    ),
    (("YAML of aliases", "YAML of merges"), _but("yolo"), "it holds no YAML"),
    (
        ("half a code point",), ("voc", "boxes_csv", *WHOLE),
        "UTF-8, XML and names of files cannot hold one",
    ),
)  # fmt: skip
GAPS = {
    (name, fault): reason
    for faults, names, reason in _REASONS
    for fault in faults
    for name in names
}
assert set(MASKS) <= set(SETS)
