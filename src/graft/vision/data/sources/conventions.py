"""Habits of well-known sets of masks: how files pair, and what values and colours mean.

A class table of the case's own comes before all of these.
"""

from dataclasses import dataclass, field

from graft.vision.data.sources.class_tables import ClassNames

VOID = "void"


@dataclass(frozen=True)
class Convention:
    """How files pair and what they mean.

    ``mask_endings``: of mask names; the first that an image has counts, with what it names.
    ``names``: what values mean, and what colours mean in sets that ship colours instead.
    """

    image_ending: str = ""
    mask_endings: tuple[tuple[str, ClassNames], ...] = (("", ClassNames()),)
    names: ClassNames = field(default_factory=ClassNames)
    divisor: int = 0
    ignored_values: tuple[int, ...] = ()
    ignored_colours: tuple[tuple[int, int, int], ...] = ()


_SEGNET = ClassNames(
    dict(
        enumerate(
            (
                *("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car"),
                *("pedestrian", "bicyclist", VOID),
            )
        )
    )
)
_CAMVID_COLOURS = {
    (64, 128, 64): "Animal",
    (192, 0, 128): "Archway",
    (0, 128, 192): "Bicyclist",
    (0, 128, 64): "Bridge",
    (128, 0, 0): "Building",
    (64, 0, 128): "Car",
    (64, 0, 192): "CartLuggagePram",
    (192, 128, 64): "Child",
    (192, 192, 128): "Column_Pole",
    (64, 64, 128): "Fence",
    (128, 0, 192): "LaneMkgsDriv",
    (192, 0, 64): "LaneMkgsNonDriv",
    (128, 128, 64): "Misc_Text",
    (192, 0, 192): "MotorcycleScooter",
    (128, 64, 64): "OtherMoving",
    (64, 192, 128): "ParkingBlock",
    (64, 64, 0): "Pedestrian",
    (128, 64, 128): "Road",
    (128, 128, 192): "RoadShoulder",
    (0, 0, 192): "Sidewalk",
    (192, 128, 128): "SignSymbol",
    (128, 128, 128): "Sky",
    (64, 128, 192): "SUVPickupTruck",
    (0, 0, 64): "TrafficCone",
    (0, 64, 64): "TrafficLight",
    (192, 64, 128): "Train",
    (128, 128, 0): "Tree",
    (192, 128, 192): "Truck_Bus",
    (64, 0, 64): "Tunnel",
    (192, 192, 0): "VegetationMisc",
    (0, 0, 0): VOID,
    (64, 192, 0): "Wall",
}
"""Brostow et al., Semantic object classes in video (2009)."""

_CITY = {
    7: "road",
    8: "sidewalk",
    11: "building",
    12: "wall",
    13: "fence",
    17: "pole",
    19: "traffic light",
    20: "traffic sign",
    21: "vegetation",
    22: "terrain",
    23: "sky",
    24: "person",
    25: "rider",
    26: "car",
    27: "truck",
    28: "bus",
    31: "train",
    32: "motorcycle",
    33: "bicycle",
}
"""Cordts et al., Cityscapes (2016): the 19 ids that are judged, of 34."""
_CITY_IDS = ClassNames({**dict.fromkeys(range(34), VOID), **_CITY})
# Some exports write 19 where nobody judges.
_CITY_TRAIN_IDS = ClassNames({**dict(enumerate(_CITY.values())), 19: VOID})

_VOC_NAMES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair"),
    *("cow", "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa"),
    *("train", "tvmonitor"),
)


def voc_colour(number: int) -> tuple[int, int, int]:
    """The colour of an index in VOC's palette: the index's bits, dealt to red, green and blue."""
    colour = [0, 0, 0]
    for place in range(8):
        for channel in range(3):
            colour[channel] |= (number >> (3 * place + channel) & 1) << (7 - place)
    return colour[0], colour[1], colour[2]


CONVENTIONS = {
    "plain": Convention(),
    "camvid": Convention(names=ClassNames(_SEGNET.values, _CAMVID_COLOURS)),
    "cityscapes": Convention(
        image_ending="_leftImg8bit",
        mask_endings=(
            ("_gtFine_labelIds", _CITY_IDS),
            ("_gtCoarse_labelIds", _CITY_IDS),
            ("_gtFine_labelTrainIds", _CITY_TRAIN_IDS),
            ("_gtFine_instanceIds", _CITY_IDS),
        ),
        divisor=1000,
    ),
    "ade": Convention(ignored_values=(0,)),
    "voc": Convention(
        names=ClassNames(
            dict(enumerate(_VOC_NAMES)),
            {voc_colour(number): name for number, name in enumerate(_VOC_NAMES)},
        ),
        ignored_colours=((224, 224, 192),),
    ),
}
