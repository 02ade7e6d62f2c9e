"""A model that computes what is not finite of one image names that image wherever it is asked."""

import io
from dataclasses import replace

import numpy as np
import pytest
from learning_scenes import lay_learning_scenes
from PIL import Image
from spoiling import spoil_white, with_white_images

from graft.vision.contenders.ground import Ground
from graft.vision.contenders.meeting import calibrate_models, predict_contenders
from graft.vision.errors import TrainingError
from graft.vision.model import TrainedModel
from graft.vision.serving import answer_images, predict_images
from graft.vision.tasks import TASKS


@pytest.fixture(scope="module", params=TASKS)
def ground(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Ground:
    ground = lay_learning_scenes(request.param, tmp_path_factory.mktemp("pixels"), preset="none")
    rows = ground.rows.assign(split=["train"] * 8 + ["val"] * 2 + ["test"] * 2)
    return replace(ground, rows=rows)


@pytest.fixture(scope="module")
def model(ground: Ground) -> TrainedModel:
    """One to which white is no number."""
    module = ground.new_model()
    spoil_white(module)
    return ground.finish("fine_tuned", module, "full", 1.0, {})


def drawn(ground: Ground, *, white: bool) -> np.ndarray:
    """White but for a corner, since images that show nothing are refused; or a scene."""
    pixels = np.array(ground.pixels.read(ground.rows.loc[0, "sha256"]))
    if white:
        pixels[:] = 255
        pixels[:4, :4] = 0
    return pixels


def coded(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_prediction__that_is_no_number_names_the_image(ground: Ground, model: TrainedModel) -> None:
    images = [drawn(ground, white=at in (1, 3)) for at in range(4)]
    said = "its outputs for some images are not finite; found: number 2, number 4 and 0 more"
    with pytest.raises(TrainingError, match=said):
        model.predict(images)
    assert len(model.predict(images[::2])) == 2


def test_served_model__answers_all_but_the_image_that_is_no_number(
    ground: Ground, model: TrainedModel
) -> None:
    given = [coded(drawn(ground, white=at == 1)) for at in range(3)]
    table = predict_images(model, [None, *given])
    told = "what the model computes of it is not finite; next: look at this image"
    assert [error.partition(";")[0] for error in table["error"]] == [
        "no image is given", "", told.partition(";")[0], ""
    ]  # fmt: skip
    assert told in table["error"][2]
    assert table.loc[2].drop("error").isna().all()
    assert table["prediction"].notna().tolist() == [False, True, False, True]
    sound = predict_images(model, [None, given[0], given[0], given[2]])
    assert table.drop(2).equals(sound.drop(2))
    assert len(answer_images(model, given)) == 3


def test_comparison__names_the_images_that_are_no_number(
    ground: Ground, model: TrainedModel
) -> None:
    white = with_white_images(ground, 8, 9, 11)
    val, test = ", ".join(ground.rows.loc[[8, 9], "id"]), ground.rows.loc[11, "id"]
    with pytest.raises(TrainingError, match=rf"are not finite; found: {val} and 0 more"):
        calibrate_models(white, [model])
    with pytest.raises(TrainingError, match=rf"are not finite; found: {test} and 0 more"):
        predict_contenders(white, [model], {"fine_tuned": 1.0})
