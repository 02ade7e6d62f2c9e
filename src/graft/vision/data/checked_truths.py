"""From what annotators stated to the truth texts of the manifest, held against each image."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from graft.vision.data.boxes import CheckedBoxes, StatedBox, StatedBoxes, check_boxes
from graft.vision.data.mask_files import MaskRule
from graft.vision.data.mask_pass import MaskFacts
from graft.vision.data.masks import IGNORED
from graft.vision.data.sources import SourceRow
from graft.vision.errors import UnusableImageError

_MOST_NAMED = 5


@dataclass
class CheckedTruths:
    """Makes the truth text of each row, and remembers what is to be told.

    Args:
        rule: how the mask files were read; None where there are none.
        known: the only classes that boxes may have; any when empty.
        left_out: objects that the reader could not use: file, row and reason; more are added.
        masks: what each mask file holds, by path.
        objects_used: shapes that masks are drawn of; boxes that can be used are added.
    """

    rule: MaskRule | None = None
    known: tuple[str, ...] = ()
    left_out: list[dict[str, str]] = field(default_factory=list)
    masks: Mapping[str, MaskFacts] = field(default_factory=dict)
    objects_used: int = 0
    _of_boxes: bool = False
    _clipped: list[tuple[float, str]] = field(default_factory=list)
    _turned: list[str] = field(default_factory=list)
    _ambiguous: list[str] = field(default_factory=list)
    _unjudged: list[str] = field(default_factory=list)

    def truth_of(self, row: SourceRow, facts: Mapping[str, object]) -> str:
        """The truth text of a row whose image was decoded.

        Args:
            row: as the source states it.
            facts: width, height and notes of the upright original.

        Raises:
            UnusableImageError: with the reason for which the image was refused, or when image and
                truth cannot belong together.
        """
        if "reason" in facts:
            raise UnusableImageError(str(facts["reason"]))
        width, height = int(str(facts["width"])), int(str(facts["height"]))
        orientation = orientation_of(str(facts["notes"]))
        if row.mask:
            found = self.masks[row.mask]
            _check_mask(row.mask, found, width, height, orientation)
            if found.boxes_xyxy is None:
                return self._mask(row, found)
            return self._boxes(row, self._instances(row, found), width, height, 1, found)
        if row.boxes is not None:
            return self._boxes(row, row.boxes, width, height, orientation)
        return row.truth

    @property
    def objects(self) -> str:
        """What truths consist of: ``boxes``, ``shapes`` of masks, or nothing of the kind."""
        if self._of_boxes:
            return "boxes"
        return "shapes" if self.rule is not None and self.rule.kind == "polygons" else ""

    def findings(self) -> list[str]:
        """What should be known of boxes and masks that are used."""
        found = []
        if self.left_out:
            beside = f", {self.objects_used} {self.objects} are used" if self.objects else ""
            found.append(
                f"{len(self.left_out)} objects are left out{beside}, their images stay: "
                + _some([f"{row['row']}: {row['reason']}" for row in self.left_out])
            )
        if self._clipped:
            worst = sorted(self._clipped, reverse=True)
            found.append(
                f"{len(worst)} boxes reach beyond their image, by up to {worst[0][0]:.4g} px, and "
                "are clipped: " + _some([place for _, place in worst])
            )
        if self._turned:
            found.append(
                f"{len(self._turned)} images are turned by EXIF and their boxes, drawn before, "
                f"with them: {_some(self._turned)}"
            )
        if self._ambiguous:
            found.append(
                f"{len(self._ambiguous)} images are turned by EXIF and their annotation does not "
                "tell whether boxes were drawn before or after; taken as drawn upright: "
                + _some(self._ambiguous)
            )
        if self._unjudged:
            found.append(
                f"{len(self._unjudged)} masks hold no judged pixel: {_some(self._unjudged)}"
            )
        return found

    def _boxes(
        self,
        row: SourceRow,
        stated: StatedBoxes,
        width: int,
        height: int,
        orientation: int,
        mask: MaskFacts | None = None,
    ) -> str:
        checked = check_boxes(stated, width, height, orientation, self.known)
        self._of_boxes = True
        self.objects_used += len(checked.classes)
        self._remember(row, checked)
        truth = {
            "boxes_xyxy": checked.boxes_xyxy,
            "classes": checked.classes,
            "size_px": [width, height],
        }
        if mask is not None:  # so that a changed byte of the file is a changed truth
            truth["stated_sha256"] = mask.sha256
        return json.dumps(truth, ensure_ascii=False)

    def _remember(self, row: SourceRow, checked: CheckedBoxes) -> None:
        for place, reason in checked.left_out:
            self.left_out.append({"file": row.path, "row": place, "reason": reason})
        for place, px in checked.clipped:
            self._clipped.append((px, f"{row.path}, {place}, {px:.4g} px"))
        self._turned += [row.path] if checked.turned else []
        self._ambiguous += [row.path] if checked.ambiguous else []

    def _instances(self, row: SourceRow, found: MaskFacts) -> StatedBoxes:
        assert self.rule is not None
        boxes = (
            StatedBox(xyxy, self.rule.names[-1], f"{row.mask} instance {number}")
            for number, xyxy in enumerate(found.boxes_xyxy or (), start=1)
        )
        return StatedBoxes(tuple(boxes))

    def _mask(self, row: SourceRow, found: MaskFacts) -> str:
        assert self.rule is not None
        if not found.classes:
            self._unjudged.append(row.mask)
        return json.dumps(
            {
                "mask": row.mask,
                "mask_sha256": found.sha256,
                "names": list(self.rule.names),
                "ignored": IGNORED,
                "classes": list(found.classes),
                "size_px": [found.width, found.height],
            },
            ensure_ascii=False,
        )


def orientation_of(notes: str) -> int:
    """The EXIF orientation that decoding applied, by its notes; 1 where it applied none."""
    for note in notes.split("; "):
        word, _, number = note.rpartition(" ")
        if word == "exif orientation" and number.isdigit():
            return int(number)
    return 1


def _check_mask(path: str, found: MaskFacts, width: int, height: int, orientation: int) -> None:
    if found.reason:
        raise UnusableImageError(found.reason)
    if (found.width, found.height) != (width, height):
        turned = f", turned upright by EXIF orientation {orientation}" if orientation != 1 else ""
        raise UnusableImageError(
            f"a mask of another size than the image ({path}: {found.width}x{found.height}, "
            f"the image {width}x{height}{turned})",
            mend="export the mask at the size of the upright image",
        )


def _some(places: list[str]) -> str:
    more = len(places) - _MOST_NAMED
    return "; ".join(places[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
