"""The whole table of bad labels: every fault of every layout."""

import label_box_faults
import label_mask_faults
import label_place_faults
import label_text_faults
from label_cells import BOXES, CELLS, MASKS, PAIRS, WHOLE, Cell

__all__ = ["BOXES", "CELLS", "FILLED_BY", "MASKS", "PAIRS", "WHOLE", "Cell"]

FILLED_BY = (label_box_faults, label_mask_faults, label_place_faults, label_text_faults)
"""Each adds its cells to the table when it is imported."""
