"""Which soles stand, of somebody who takes one step between two stands."""

from __future__ import annotations

import numpy as np

from tracker.body.free_body import load_free_body
from tracker.synth.demo_scene import Viewpoint
from tracker.synth.figure import Figure, FigureConfig
from tracker.synth.footing import standing_soles, world_of
from tracker.synth.gait import FootPlan, GaitConfig
from tracker.synth.gesture import STANDING, Key
from tracker.synth.legs import SIDES, LegGeometry
from tracker.synth.motion import Choreography, perform


def test_feet_stand_but_for_their_steps() -> None:
    figure = Figure(load_free_body(), np.zeros(10), FigureConfig(texture_size=32), 1)
    feet = FootPlan(GaitConfig(), np.zeros(2), 0.0)
    feet.wait(1.0)
    feet.walk(np.array([0.0, 1.2]), 0.0)
    feet.wait(1.0)
    times = np.arange(0, feet.time, 1 / 30)
    legs = [LegGeometry.of(figure.shaped, side, figure.floor) for side in SIDES]
    keys = [Key(0.0, STANDING), Key(feet.time, STANDING)]
    standing = standing_soles(perform(Choreography(feet, keys, 1), (legs[0], legs[1]), times), figure)
    assert standing[times < 0.7].all() and standing[times > feet.time - 0.6].all()
    for step in feet.steps[1:-1]:
        middle = np.abs(times - (step.start + 0.5 * step.seconds)) < 0.05
        swing, stance = [step.foot, step.foot + 2], [1 - step.foot, 3 - step.foot]
        assert not standing[np.ix_(middle, swing)].any(), "a foot in the air stands nowhere"
        assert standing[np.ix_(middle, stance)].any(axis=1).all(), "the other one carries"


def test_the_world_of_a_scene_has_its_floor_and_tilt() -> None:
    view = Viewpoint(height=1.4, tilt_degrees=6.0)
    world = world_of(view.T_camera_world, np.array([0.2, 0.1, 4.0]))
    assert np.isclose(world.camera_height, 1.4) and np.isclose(np.degrees(world.pitch), 6.0)
    floor = np.array([0.7, 0.0, -0.3]) @ view.T_camera_world[:3, :3].T + view.T_camera_world[:3, 3]
    assert abs(world.heights(floor)) < 1e-12
