"""The occlusion map in the viewer's page: a picture of the clip beside the scene, painted while the scene plays on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from tracker.app.view.clip_pictures import ClipPictures, small
from tracker.app.view.motion import MovingPerson, ViewedRun
from tracker.core.errors import InputError, RunError
from tracker.runtime.worker import Worker

if TYPE_CHECKING:
    from tracker.app.view.occlusion_map import OcclusionMaps
    from tracker.body.body_state import BodyState

_LEGEND = "Green: what the networks take for the body. Red: what they take for something in front of it."
_LOADING = "Loading the networks …"


class OcclusionPanel:
    """Shows the newest moment that it is asked for; moments that come while it paints are passed over."""

    def __init__(self, gui: Any, runs: Sequence[ViewedRun]) -> None:
        """runs: those whose clips are there, with a camera that stands still (`ViewedRun.comparable`); at least one."""
        self._runs = runs
        self._clips = [ClipPictures(run.video, width=None) for run in runs if run.video is not None]
        self._now = 0.0
        self._tidy = ExitStack()
        self._work: Worker[float] | None = None
        with gui.add_folder("Occlusion map"):
            self._wanted = gui.add_checkbox("Compare with the clip", False)
            self._which = gui.add_dropdown("Run", tuple(run.name for run in runs), visible=len(runs) > 1)
            self._text = gui.add_markdown(_LEGEND, visible=False)
            self._picture = gui.add_image(np.zeros((2, 2, 3), np.uint8), format="jpeg", visible=False)
        for control in (self._wanted, self._which):
            control.on_update(lambda _: self._changed())

    def show(self, now: float) -> None:
        """now: s from the start of the runs."""
        self._now = now
        if self._wanted.value:
            if self._work is None:
                self._text.content = _LOADING
                self._work = self._tidy.enter_context(Worker("occlusion map", self._paint, size=1))
            self._work.put_if_room(now)

    def close(self) -> None:
        """Waits until the picture that is being painted is done."""
        self._tidy.close()
        for clip in self._clips:
            clip.close()

    def _changed(self) -> None:
        self._text.visible = self._picture.visible = self._wanted.value
        self.show(self._now)

    def _paint(self, moments: Iterator[float]) -> None:
        """The worker's: whatever moment it is woken for, it paints the present one."""
        try:
            with ExitStack() as tidy:
                maps = _open_maps(tidy)
                self._text.content = _LEGEND
                for _ in moments:
                    self._paint_one(maps)
        except (InputError, RunError) as error:
            self._text.content = str(error)
            for _ in moments:
                pass

    def _paint_one(self, maps: OcclusionMaps) -> None:
        number = [run.name for run in self._runs].index(self._which.value)
        run, clip = self._runs[number], self._clips[number]
        time = run.span[0] + self._now
        image = clip.at(time)
        if image is not None and run.camera is not None and image.shape[:2] == (run.camera.height, run.camera.width):
            people = [(person, person.row(time)) for person in run.people]
            states = [_in_camera(run, person, row) for person, row in people if row is not None]
            self._picture.image = small(maps.painted(image, run.camera, states))


def _open_maps(tidy: ExitStack) -> OcclusionMaps:
    from tracker.app.view.occlusion_map import OcclusionMaps

    maps = OcclusionMaps()
    tidy.callback(maps.close)
    return maps


def _in_camera(run: ViewedRun, person: MovingPerson, row: int) -> BodyState:
    """The person in the frame of the camera that filmed them."""
    from tracker.body.body_state import BodyState
    from tracker.core.geometry import matrix_from_axis_angle

    assert run.T_world_camera is not None
    R, origin = run.T_world_camera[:3, :3].T, run.T_world_camera[:3, 3]
    rotations = matrix_from_axis_angle(person.theta[row])
    rotations[0] = R @ person.R_scene_file @ rotations[0]
    return BodyState(rotations, person.betas, R @ (person.joints[row, 0] - origin) - person.rest_pelvis)
