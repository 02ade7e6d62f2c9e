"""What annotators said, as a person or a metric reads it: the words of prediction tables."""

import json

from graft.vision.data.masks import encode_mask
from graft.vision.records import MaskReader

SEPARATOR = "|"


def truth_in_words(text: str, masks: MaskReader) -> str:
    """A truth text in the words that predictions use.

    Class names joined by ``|``; for boxes the text itself; for a mask JSON that holds its pixels.
    """
    truth = json.loads(text)
    if "mask_sha256" in truth:
        kept = {key: truth[key] for key in ("size_px", "names", "ignored")}
        return json.dumps({**kept, "png": encode_mask(masks.read(truth["mask_sha256"]))})
    return text if "boxes_xyxy" in truth else SEPARATOR.join(truth["classes"])
