"""Options of ingestion; light to import, so that conf is checked before anything heavy loads."""

from typing import Literal

from pydantic import Field

from graft.vision.options import Options

DECODING_RULE = 6
"""Raised whenever `decode` gives other pixels for the same file."""
WORTH_REDUCING = 1.25
"""How many times ``short_side_px`` the shorter side must exceed for an image to be reduced. Below
that, reducing takes more of the CPU than it saves whoever reads and scales the pixels afterwards,
and each filter that pixels pass loses something."""


class DecodingOptions(Options):
    """How files become pixels; part of every model's card, so that serving does the same."""

    short_side_px: int | None = Field(default=320, ge=8)
    """Images larger than this by more than a quarter (`stored_size`) are reduced once, by all of
    their pixels, to this shorter side; null: none."""
    max_pixels: int = Field(default=50_000_000, ge=1, le=178_956_970)
    """Images whose header states more are refused before they are decoded; Pillow opens no more
    than the greatest value allowed here."""
    channels: Literal[1, 3, 4] = 3
    frames: Literal["first", "refuse"] = "refuse"
    """What to do with a file that holds several images."""
    wide: Literal["scale", "refuse"] = "scale"
    """What to do with more than 8 bits per channel."""

    @property
    def digest(self) -> str:
        """Identifies the pixel truth; other digests, other pixels."""
        from graft.vision.records import digest_of  # brings pandas; the listing goes without

        return digest_of({"rule": DECODING_RULE, **self.model_dump(mode="json")})


def stored_size(width: int, height: int, short_side_px: int | None) -> tuple[int, int]:
    """Width and height at which the pixels of an image of these sides are stored.

    Its own, unless the shorter one exceeds `WORTH_REDUCING` times ``short_side_px``, which it then
    becomes.
    """
    shorter = min(width, height)
    if short_side_px is None or shorter <= WORTH_REDUCING * short_side_px:
        return width, height
    scaled = [max(1, round(side * short_side_px / shorter)) for side in (width, height)]
    return scaled[0], scaled[1]


class SourceOptions(Options):
    """How a raw folder is read."""

    layout: Literal[
        "folders",
        "table",
        "torchvision",
        "voc",
        "coco",
        "yolo",
        "boxes_csv",
        "masks",
        "instances",
        "labelme",
    ] = "folders"
    folder: str = ""
    """Below the raw folder, where the images or tables of this task lie."""
    multi_label: bool = False
    group_pattern: str | None = None
    """A regular expression searched in the path; its groups, joined by '/', name the group. One
    that matches no path at all is refused."""
    table: tuple[str, ...] = Field(default=(), strict=False)
    """Tables to read (CSV or parquet), below `folder`; one that is found when empty."""
    path_column: str | None = None
    label_column: str | None = None
    label_columns: tuple[str, ...] = Field(default=(), strict=False)
    """Several columns of 0 and 1, one per class, in place of `label_column`; blank means 0."""
    split_column: str | None = None
    group_column: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """Of the table's cells; found by itself when null."""
    label_delimiter: str = Field(default="|", min_length=1)
    """Between the labels of one image, when `multi_label`."""
    images_folder: str = ""
    """What the table's paths are relative to, below `folder`."""
    dataset: str | None = None
    """Name of a public set in torchvision.datasets, exported once into the raw folder."""
    class_names: tuple[str, ...] = Field(default=(), strict=False)
    """By number, where the data do not name them; for boxes with names, the only ones allowed."""
    annotations: tuple[str, ...] = Field(default=(), strict=False)
    """COCO's JSON files, below `folder`; found by themselves when empty."""
    one_based: bool = False
    """Boxes of VOC count pixels from 1 and hold the last one, as the original PASCAL VOC does;
    false where corners are places between pixels, as of nearly all tools."""
    box_columns: tuple[str, ...] = Field(default=(), strict=False)
    """The four columns of a box table, left and top first; found by name when empty."""
    box_format: Literal["xyxy", "xywh"] | None = None
    """What a column `bbox`, or `box_columns`, hold; by the columns' names when null."""
    box_unit: Literal["px", "share"] = "px"
    """Whether a box table holds pixels or shares of width and height."""
    truth: Literal["boxes", "masks"] = "boxes"
    """What instances and polygons become."""
    convention: Literal["plain", "camvid", "cityscapes", "ade", "voc"] = "plain"
    """Whose habits mask folders follow: names of files and classes, and what nobody judges."""
    masks_folder: str = ""
    """Where masks lie, below `folder`, beside `images_folder`; found by name when empty."""
    pair_pattern: str | None = None
    """A regular expression on names of images and masks without ending; its groups, joined by '/',
    are the same for the two of a pair. By usual endings such as _mask when null."""
    class_table: str | None = None
    """The file that names mask values or colours, below `folder`; found by name when null."""
    ignored_classes: tuple[str, ...] = Field(
        default=("void", "ignore", "ignored", "unlabeled", "unlabelled"), strict=False
    )
    """Mask classes that nobody judges; capitals do not matter."""
    ignored_values: tuple[int, ...] = Field(default=(255,), strict=False)
    """Mask values that nobody judges; those of class names come first."""
    mask_values: Literal["index", "binary"] = "index"
    """Whether values are class numbers, or 0 and 255 (or 1) for two classes."""
    mask_pages: Literal["refuse", "first", "classes"] = "refuse"
    """What to do with a mask of several pages: one per class, or the first alone."""
    background: str | None = "background"
    """The class of what no polygon or instance covers; null where nobody judges it."""


class NearCopyOptions(Options):
    """When two images count as copies of each other."""

    enabled: bool = True
    candidate_correlation: float = Field(default=0.85, gt=0, le=1)
    """Correlation of two small sketches from which they are a candidate."""
    neighbours: int = Field(default=12, ge=1)
    """Candidates per image: the nearest only. Frames of a video crowd each other: more find more,
    and take longer."""
    correlation: float = Field(default=0.95, gt=0, le=1)
    """Correlation of the aligned thumbnails from which a candidate is a near copy."""
    detail: float = Field(default=0.93, gt=0, le=1)
    """Correlation of their fine detail, in units of its local strength: tells twins from
    look-alikes."""
    texture: float = Field(default=4.0, ge=0)
    """Grey levels of deviation below which an image is flat: then only equal pixels count."""


class SplitOptions(Options):
    """Who trains, who tunes, who judges."""

    keep_given: bool = True
    """Keep the data set's own split where it has one and it does not leak."""
    test_share: float = Field(default=0.2, gt=0, lt=1)
    val_share: float = Field(default=0.15, gt=0, lt=1)
    """Of what is not test."""
    withheld_share_max: float = Field(default=0.2, ge=0, le=1)
    """The share of training images that may be withheld because they leak; above it, an error."""
    seed: int = 0


class IngestionOptions(Options):
    """All that ingestion may be told."""

    source: SourceOptions = SourceOptions()
    decoding: DecodingOptions = DecodingOptions()
    near_copies: NearCopyOptions = NearCopyOptions()
    split: SplitOptions = SplitOptions()
    quarantine_share_max: float = Field(default=0.1, ge=0, le=1)
    """A run stops when a larger share of the files cannot be used."""
    workers: int = Field(default=2, ge=1)
    """Threads that decode."""
