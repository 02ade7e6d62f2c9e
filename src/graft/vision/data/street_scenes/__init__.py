"""The embedded sample: synthetic street scenes, rendered by graft itself and never real.

A drive has one street, one light and one camera; a scene is one frame of it; signs are cut from the
scenes. `drives` plans, `scene` composes items from far to near, `weather` develops the photograph,
`folder` writes. Everything hangs on the seed alone: the same seed gives the same bytes.
"""

from graft.vision.data.street_scenes.batch import add_batch
from graft.vision.data.street_scenes.folder import render_folder
from graft.vision.data.street_scenes.options import StreetScenesOptions

__all__ = ["StreetScenesOptions", "add_batch", "render_folder"]
