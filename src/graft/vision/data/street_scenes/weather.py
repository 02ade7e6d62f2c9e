"""From a painted canvas to a photograph: light, wet roads, fog, rain, lens and sensor."""

import cv2
import numpy as np
from numpy.random import Generator

from graft.vision.data.street_scenes.canvas import MASK_CLASSES
from graft.vision.data.street_scenes.conditions import Conditions
from graft.vision.data.street_scenes.noise import fine_noise, smooth_noise, tinted
from graft.vision.data.street_scenes.stage import Stage
from graft.vision.records import Array


def develop(stage: Stage) -> Array:
    """The frame (H, W, 3) uint8 in RGB, as the camera of this drive would have stored it."""
    rng, conditions = stage.rng, stage.conditions
    photo = stage.canvas.colour * _light(stage)
    photo += _glow(stage.canvas.light, conditions)
    if conditions.rain:
        _reflect(photo, stage)
    photo = _veil(photo, stage)
    if conditions.rain:
        _rain(photo, rng, conditions)
    photo = _lens(photo, rng, conditions)
    return _sensor(photo, rng, conditions)


def _light(stage: Stage) -> Array:
    """What falls on each pixel, (H, W, 3): the sky's light, shadows, and the own head lamps."""
    canvas, conditions = stage.canvas, stage.conditions
    height, width = canvas.classes.shape
    grain = 1 + 0.045 * fine_noise(stage.rng, (height, width), 1)[..., 0]
    soft = 0.78 + 0.4 * smooth_noise(stage.rng, (height, width), (5, 8))
    light = tinted(soft * grain, conditions.ambient)
    if conditions.lamps:
        across = (np.arange(width, dtype=np.float32) - stage.camera.centre_px) / (0.55 * width)
        up = np.maximum(stage.camera.horizon_px - np.arange(height, dtype=np.float32), 0) / 110
        beam = np.exp(-(across**2))[None] * np.exp(-(up**2))[:, None]
        beam *= np.exp(-canvas.depth_m / 24) * 0.95 * conditions.lamps
        # Signs throw the light of head lamps back to where it came from.
        beam[canvas.classes == MASK_CLASSES.index("traffic_sign")] *= 1.5
        # By day they are lost in the light of the sky.
        beam *= 1.1 - conditions.ambient[1]
        light += tinted(beam * grain, (1.0, 0.95, 0.84))
    # The sky is painted as it shines.
    light[canvas.classes == MASK_CLASSES.index("sky")] = 1
    return light


def _glow(lights: Array, conditions: Conditions) -> Array:
    """What shines by itself, with halos that grow in wet or misty air."""
    height, width = lights.shape[:2]
    small = cv2.resize(lights, (width // 4, height // 4), interpolation=cv2.INTER_AREA)
    small = small.astype(np.float32)
    damp = min(1.0, conditions.rain + 25 / conditions.visibility_m)
    halo = 1.4 * cv2.GaussianBlur(small, (0, 0), 1.6)
    halo += (1.2 + 2.5 * damp) * cv2.GaussianBlur(small, (0, 0), 7)
    return lights + cv2.resize(halo, (width, height), interpolation=cv2.INTER_LINEAR)


def _reflect(photo: Array, stage: Stage) -> None:
    """A wet road mirrors what stands above the horizon, drawn out downwards."""
    horizon = int(np.clip(stage.camera.horizon_px, 8, photo.shape[0] - 8))
    rows = min(horizon, photo.shape[0] - horizon)
    mirror = cv2.blur(photo[horizon - rows : horizon][::-1], (5, 31))
    puddles = np.clip(smooth_noise(stage.rng, mirror.shape[:2], (16, 7)) * 1.6 - 0.3, 0, 1)
    road = stage.canvas.classes[horizon : horizon + rows] == MASK_CLASSES.index("road")
    near = np.linspace(1, 0, rows, dtype=np.float32)[:, None] ** 0.5
    share = (road * puddles * near * np.float32(0.55 * stage.conditions.rain)).astype(np.float32)
    below = photo[horizon : horizon + rows]
    below += (mirror * 1.1 - below) * tinted(share, (1, 1, 1))


def _veil(photo: Array, stage: Stage) -> Array:
    """Fog and haze: what is far fades into the colour of the air."""
    conditions = stage.conditions
    clear = np.exp(-stage.canvas.depth_m / np.float32(conditions.visibility_m))
    bright = min(1.0, 0.35 + conditions.ambient[1])
    air = [bright * channel for channel in conditions.sky_low]
    return photo * tinted(clear, (1, 1, 1)) + tinted(1 - clear, air)


def _rain(photo: Array, rng: Generator, conditions: Conditions) -> None:
    """Streaks in the air, and drops on the windscreen."""
    height, width = photo.shape[:2]
    streaks = np.zeros((height, width), np.uint8)
    slant = rng.normal(0, 0.25)
    for x, y, length in rng.uniform((0, -20, 8), (width, height, 26), (260, 3)):
        end = (int(x + slant * length), int(y + length))
        cv2.line(streaks, (int(x), int(y)), end, int(rng.integers(20, 90)), 1, cv2.LINE_AA)
    air = conditions.rain * (40 + 190 * conditions.ambient[1]) / 255
    photo += tinted(streaks, (air, air, air))
    drops = np.zeros((height, width), np.float32)
    for x, y, radius in rng.integers((0, 0, 3), (width, height, 9), (14, 3)):
        cv2.circle(drops, (int(x), int(y)), int(radius), 0.75 * conditions.rain, -1, cv2.LINE_8)
    behind = cv2.blur(photo, (21, 21)) * 1.08
    photo += (behind - photo) * tinted(cv2.blur(drops, (5, 5)), (1, 1, 1))


def _lens(photo: Array, rng: Generator, conditions: Conditions) -> Array:
    """Blur by motion and focus, darker corners, and the cast of the camera."""
    length = conditions.motion_px * rng.uniform(0.4, 1.6)
    if length > 1.2:
        photo = cv2.filter2D(photo, -1, _smear(length, rng.normal(0, 0.5)))
    defocus = conditions.defocus_px * rng.uniform(0.6, 1.5)
    photo = cv2.GaussianBlur(photo, (0, 0), max(defocus, 0.3))
    y, x = np.ogrid[-1 : 1 : photo.shape[0] * 1j, -1 : 1 : photo.shape[1] * 1j]
    corners = (1.03 - 0.14 * (x**2 + y**2)).astype(np.float32)
    return photo * tinted(corners, conditions.cast)


def _smear(length: float, turn: float) -> Array:
    """A motion kernel: a line of this length in px, turned by so many radians."""
    side = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((side, side), np.float32)
    reach = np.array([np.cos(turn), np.sin(turn)]) * length / 2
    ends = [np.round((side // 2 + sign * reach) * 16).astype(int) for sign in (-1, 1)]
    first, last = ((int(x), int(y)) for x, y in ends)
    cv2.line(kernel, first, last, 1.0, 1, cv2.LINE_8, 4)
    return kernel / kernel.sum()


def _sensor(photo: Array, rng: Generator, conditions: Conditions) -> Array:
    """Noise and the camera's own JPEG."""
    noise = fine_noise(rng, photo.shape[:2], 3)
    photo = cv2.scaleAdd(noise, 255 * conditions.noise, photo)
    pixels = cv2.convertScaleAbs(np.maximum(photo, 0))
    quality = [cv2.IMWRITE_JPEG_QUALITY, conditions.jpeg_quality]
    _, coded = cv2.imencode(".jpg", pixels[..., ::-1], quality)
    decoded: Array = np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return decoded[..., ::-1]
