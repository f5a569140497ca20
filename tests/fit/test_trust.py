"""How far fits are believed: by what they cost, and by how they cover the person whom the detector sees."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.pipeline.test_pipeline import SIZE, Script, somebody
from tracker.body import load_body
from tracker.body.drawn_body import drawn_body
from tracker.body.skinner import skinner_of
from tracker.core.camera import Camera
from tracker.core.errors import InputError
from tracker.core.frame import Frame
from tracker.core.mask import PlacedMask
from tracker.fit.trust import TrustConfig, cover_of, trust
from tracker.overlay.mesh_overlay import MeshOverlay
from tracker.pipeline import Tracker, TrackerConfig

RNG = np.random.default_rng(3)


def disc(x: float, y: float, radius: float, count: int = 60) -> np.ndarray:
    """Points spread over a disc."""
    angle, distance = RNG.uniform(0, 2 * np.pi, count), radius * np.sqrt(RNG.uniform(0, 1, count))
    rim = np.linspace(0, 2 * np.pi, 40)
    inner = np.stack([x + distance * np.cos(angle), y + distance * np.sin(angle)], axis=1)
    return np.concatenate([inner, np.stack([x + radius * np.cos(rim), y + radius * np.sin(rim)], axis=1)])


def mask_of(*circles: tuple[int, int, int]) -> PlacedMask:
    mask = np.zeros((240, 320), np.uint8)
    for x, y, radius in circles:
        cv2.circle(mask, (x, y), radius, 255, cv2.FILLED)
    return PlacedMask.whole(mask)


def test_cover_is_one_for_the_body_itself_and_falls_with_what_it_leaves_bare() -> None:
    points = np.concatenate([disc(80, 100, 40), disc(200, 100, 40)])
    parts = np.repeat([3, 7], 100)
    both = mask_of((80, 100, 40), (200, 100, 40))
    assert cover_of(points, parts, both) == pytest.approx(1.0, abs=0.05)
    assert cover_of(points[:100], parts[:100], both) == pytest.approx(0.5, abs=0.08)
    assert cover_of(points, parts, mask_of((300, 220, 15))) == 0.0
    assert cover_of(points, parts, mask_of()) is None


def test_what_is_hidden_or_out_of_the_picture_does_not_count_against_a_fit() -> None:
    points = np.concatenate([disc(0, 120, 60), disc(60, 120, 60)])
    parts = np.repeat([3, 7], 100)
    assert cover_of(points, parts, mask_of((0, 120, 60))) == pytest.approx(1.0, abs=0.05)
    assert cover_of(points, parts, mask_of((60, 90, 20))) == pytest.approx(1.0, abs=0.05)


def test_belief_goes_from_none_to_full_between_the_ends() -> None:
    config = TrustConfig(cover=(0.4, 0.6), cost=(3.0, 1.0))
    assert [trust(0.5, cover, config) for cover in (0.3, 0.5, 0.9)] == pytest.approx([0.0, 0.5, 1.0])
    assert [trust(cost, None, config) for cost in (4.0, 2.0, 0.1)] == pytest.approx([0.0, 0.5, 1.0])
    assert trust(2.0, 0.5, config) == pytest.approx(0.25)


@pytest.mark.parametrize(("field", "value"), [("cover", (0.6, 0.4)), ("cost", (1.0, 3.0))])
def test_senseless_configuration_is_refused_by_name(field: str, value: tuple[float, float]) -> None:
    with pytest.raises(InputError, match=field):
        TrustConfig(**{field: value})


def test_a_fit_beside_the_persons_mask_is_not_believed_nor_drawn_nor_started_from() -> None:
    """The landmarks are those of a small body; once the mask is that body's, once a person's of twice the size."""
    seen, _ = somebody(0.0)
    image = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
    camera = Camera.default(*SIZE)
    with Tracker(TrackerConfig(), load_body(None), Script([[seen]])) as tracker, MeshOverlay() as overlay:
        (person,) = tracker.step(Frame(0, 0.0, image))
        own = overlay.silhouette(camera, skinner_of(tracker.body).vertices(person.pose), tracker.body.faces.numpy())
    low, high = np.argwhere(own).min(axis=0), np.argwhere(own).max(axis=0)
    larger = np.zeros_like(own)
    larger[max(low[0] - 100, 0) : high[0] + 100, max(low[1] - 100, 0) : high[1] + 100] = True
    confidences = []
    for mask in (own, larger):
        detection = replace(seen, mask=PlacedMask.whole(np.where(mask, np.uint8(255), np.uint8(0))))
        with Tracker(TrackerConfig(), load_body(None), Script([[detection], []])) as tracker, MeshOverlay() as overlay:
            (person,) = tracker.step(Frame(0, 0.0, image))
            confidences.append(person.joint_confidence.max())
            drawn = overlay.draw(image, camera, [person], drawn_body(tracker.body))
            assert (drawn != image).any() == (mask is own)
            assert len(tracker.step(Frame(1, 0.1, image))) == (mask is own), "carried on only if believed"
    assert confidences[0] > 0.8 and confidences[1] == 0.0
