"""The viewer: a page for browsers in which results are played, turned around and compared."""

from __future__ import annotations

import io
import logging
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from viser.transforms import SO3

from tracker.app.view.bends import BENDS, bends
from tracker.app.view.clip_pictures import ClipPictures
from tracker.app.view.figure import Layers, PersonFigure
from tracker.app.view.motion import ViewedRun
from tracker.app.view.occlusion_panel import OcclusionPanel
from tracker.app.view.result_page import ResultPage
from tracker.body.skeletal_mesh import SkeletalMesh
from tracker.runtime.interrupt import Interrupt

if TYPE_CHECKING:
    from tracker.body.volume import BodyVolume

log = logging.getLogger("tracker")

_COLOURS = ((90, 150, 230), (235, 150, 70), (110, 190, 110), (200, 110, 190), (220, 200, 90), (120, 200, 210))
_APART = 1.5
"""m between runs that stand side by side."""
_EYE_HEIGHT, _NEAREST_VIEW, _PER_WIDTH = 0.9, 2.8, 0.7
"""m at which the first view looks, how far away it is, and m more for each metre of the people's places."""
_WIDEST = 8.0
"""m: of people who went further, not all is in view at first."""
_VIEWED_FROM = np.array([0.32, 0.36, 0.88])
"""Unit vector."""
_TICK = 1 / 30
"""s between two looks at the clock."""
_PLOT_SECONDS = 3.0
"""To either side of now."""
_PLOT_POINTS = 241
_TURN_SECONDS = 12.0
"""Of a whole turn of the camera."""
_TURNTABLE = (1280, 720, 120)
"""Width, height, pictures."""
_TURNTABLE_RATE = 24
_PICTURE_SECONDS = 30.0
"""That a browser has for one picture."""
SPEEDS = ("0.1×", "0.25×", "0.5×", "1×", "2×", "4×")


@dataclass(frozen=True)
class _Angle:
    """Whose curve is plotted."""

    run: int
    person: int
    name: str


class ResultViewer:
    """Fills a page and plays on it; `play` advances the time."""

    def __init__(
        self, runs: Sequence[ViewedRun], body: SkeletalMesh, volume: Callable[[], BodyVolume], page: ResultPage
    ) -> None:
        """volume: on the same body, asked for when it is to be shown; page: is closed by whoever opened it."""
        self._server = page.server
        self._runs = list(runs)
        self._spans = [run.span for run in runs]
        self.duration = max(last - first for first, last in self._spans)
        self._now, self._layers, self._side_by_side = 0.0, Layers(), len(runs) > 1
        self._lock = threading.Lock()
        self._clips = [ClipPictures(run.video) if run.video is not None else None for run in runs]
        self._occlusion: OcclusionPanel | None = None
        self._figures: list[list[PersonFigure]] = []
        self._roots: list[Any] = []
        self._frusta: list[Any] = []
        self._build_scene(body, volume)
        self._build_controls()
        self._arrange()
        self._show()
        page.loaded()

    @property
    def now(self) -> float:
        """s from the start."""
        return self._now

    def play(self, interrupt: Interrupt) -> None:
        """Until the user interrupts."""
        before = perf_counter()
        while not interrupt.requested:
            threading.Event().wait(_TICK)
            now = perf_counter()
            self.advance(now - before)
            before = now

    def advance(self, seconds: float) -> None:
        """Moves on by so much real time: plays, if it is to, and turns the camera."""
        if self._turning.value:
            self._turn(2 * math.pi * seconds / _TURN_SECONDS)
        if self._playing.value:
            speed = float(self._speed.value.rstrip("×"))
            self._now = (self._now + speed * seconds) % max(self.duration, _TICK)
            self._time.value = round(self._now, 3)
            self._show()

    def close(self) -> None:
        if self._occlusion is not None:
            self._occlusion.close()
        for clip in self._clips:
            if clip is not None:
                clip.close()

    # ------------------------------------------------------------------------------------------------ scene

    def _build_scene(self, body: SkeletalMesh, volume: Callable[[], BodyVolume]) -> None:
        scene = self._server.scene
        scene.set_up_direction("+y")
        scene.configure_default_lights(cast_shadow=True)
        scene.add_grid("/floor", plane="xz", infinite_grid=True, fade_distance=25.0, shadow_opacity=0.25)
        people = 0
        for number, run in enumerate(self._runs):
            root = f"/run_{number}"
            self._roots.append(scene.add_frame(root, show_axes=False))
            colours = [_colour(people + i) for i in range(len(run.people))]
            self._figures.append(
                [
                    PersonFigure(scene, f"{root}/{person.name}", person, body, volume, colour)
                    for person, colour in zip(run.people, colours, strict=True)
                ]
            )
            people += len(run.people)
            self._frusta.append(self._add_camera(f"{root}/camera", run))

    def _add_camera(self, name: str, run: ViewedRun) -> Any:
        if run.T_world_camera is None or run.camera is None:
            return None
        return self._server.scene.add_camera_frustum(
            name, run.fov, run.camera.width / run.camera.height, scale=0.35, thickness=0.008, color=(60, 60, 60),
            wxyz=SO3.from_matrix(run.T_world_camera[:3, :3]).wxyz, position=run.T_world_camera[:3, 3],
        )  # fmt: skip

    def _arrange(self) -> None:
        """Runs beside each other, or all in one place."""
        x = 0.0
        for root, run in zip(self._roots, self._runs, strict=True):
            low, high = run.extent
            root.position = (x - low if self._side_by_side else 0.0, 0.0, 0.0)
            x += high - low + _APART
        self._look_at_all(x - _APART)

    def _look_at_all(self, width: float) -> None:
        """The first view: of everybody from before them, so far away that they fit in. width: m, side by side."""
        lows, highs = zip(*(run.extent for run in self._runs), strict=True)
        middle = width / 2 if self._side_by_side else (min(lows) + max(highs)) / 2
        width = width if self._side_by_side else max(highs) - min(lows)
        depth = float(np.median(np.concatenate([p.joints[:, 0, 2] for run in self._runs for p in run.people])))
        target = np.array([middle, _EYE_HEIGHT, depth])
        place = target + (_NEAREST_VIEW + _PER_WIDTH * min(width, _WIDEST)) * _VIEWED_FROM
        self._server.initial_camera.look_at, self._server.initial_camera.position = tuple(target), tuple(place)
        for client in self._server.get_clients().values():  # they came while the results were read
            _aim(client, place, target)

    def _show(self) -> None:
        """Everything as at the present time."""
        with self._lock, self._server.atomic():
            for number, (figures, (first, _)) in enumerate(zip(self._figures, self._spans, strict=True)):
                for figure in figures:
                    figure.show(first + self._now, self._layers)
                self._show_picture(number)
            self._show_plot()
        if self._occlusion is not None:
            self._occlusion.show(self._now)

    def _show_picture(self, number: int) -> None:
        frustum, clip = self._frusta[number], self._clips[number]
        if frustum is None:
            return
        frustum.visible = self._with_camera.value
        if clip is not None and self._with_camera.value:
            picture = clip.at(self._spans[number][0] + self._now)
            if picture is not None and picture is not frustum.image:
                frustum.image = picture

    # --------------------------------------------------------------------------------------------- controls

    def _build_controls(self) -> None:
        gui = self._server.gui
        gui.add_html(self._legend())
        with gui.add_folder("Time"):
            self._time = gui.add_slider("Seconds", 0.0, round(max(self.duration, 0.01), 3), 0.001, 0.0)
            self._playing = gui.add_checkbox("Play", True)
            self._speed = gui.add_dropdown("Speed", SPEEDS, initial_value="1×")
        self._time.on_update(self._go_to)
        with gui.add_folder("Show"):
            boxes = {
                field.name: gui.add_checkbox(field.name.capitalize(), bool(field.default)) for field in fields(Layers)
            }
            self._with_camera = gui.add_checkbox("Camera and video", True)
            beside = gui.add_checkbox("Side by side", self._side_by_side, visible=len(self._runs) > 1)
        for name, box in boxes.items():
            box.on_update(partial(self._on_layer, name))
        self._with_camera.on_update(lambda _: self._show())
        beside.on_update(lambda event: self._set_side_by_side(event.target.value))
        with gui.add_folder("View"):
            self._turning = gui.add_checkbox("Orbit", False)
            gui.add_button("Picture").on_click(lambda event: self._send_picture(event.client))
            gui.add_button("Turntable video").on_click(lambda event: self._send_turntable(event.client))
        self._build_plot()
        comparable = [run for run in self._runs if run.comparable]
        if comparable:
            self._occlusion = OcclusionPanel(gui, comparable)

    def _legend(self) -> str:
        """Who has which colour."""
        people = [(run, person) for run in self._runs for person in run.people]
        lines = [
            f"<span style='color:rgb{_colour(number)}'>&#9679;</span> {escape(f'{run.name}: {person.name}')}"
            for number, (run, person) in enumerate(people)
        ]
        return f"<div style='padding:0.5em 1em;font-size:0.85em'>{'<br>'.join(lines)}</div>"

    def _go_to(self, event: Any) -> None:
        if event.client is not None:  # the user's doing, not the clock's
            self._now = float(event.target.value)
            self._show()

    def _on_layer(self, name: str, event: Any) -> None:
        self._set_layer(name, event.target.value)

    def _set_layer(self, name: str, value: bool) -> None:
        self._layers = replace(self._layers, **{name: value})
        self._show()

    def _set_side_by_side(self, value: bool) -> None:
        self._side_by_side = value
        self._arrange()

    # ------------------------------------------------------------------------------------------------ curves

    def _build_plot(self) -> None:
        import viser.uplot as uplot

        gui = self._server.gui
        people = {
            f"{run.name}: {person.name}": (i, j)
            for i, run in enumerate(self._runs)
            for j, person in enumerate(run.people)
        }
        with gui.add_folder("Angles"):
            who = gui.add_dropdown("Person", tuple(people))
            joint = gui.add_dropdown("Joint", tuple(BENDS))
            self._plot = gui.add_uplot(
                data=(np.zeros(2), np.zeros(2), np.zeros(2)),
                series=(
                    uplot.Series(label="s from now"),
                    uplot.Series(label="left °", stroke="#3b82f6", width=2),
                    uplot.Series(label="right °", stroke="#ef4444", width=2),
                ),
                scales={
                    "x": uplot.Scale(time=False, range=(-_PLOT_SECONDS, _PLOT_SECONDS)),
                    "y": uplot.Scale(range=(0.0, 180.0)),
                },
                aspect=1.6,
            )
        self._angle = _Angle(*next(iter(people.values())), next(iter(BENDS)))
        self._curves = self._curves_of(self._angle)
        for control in (who, joint):
            control.on_update(lambda _: self._set_angle(_Angle(*people[who.value], joint.value)))

    def _set_angle(self, angle: _Angle) -> None:
        self._angle, self._curves = angle, self._curves_of(angle)
        self._show()

    def _curves_of(self, angle: _Angle) -> tuple[NDArray[np.float64], ...]:
        """Times, and the left and right angle."""
        person = self._runs[angle.run].people[angle.person]
        times = person.times - self._spans[angle.run][0]
        return times, bends(person.joints, angle.name, "left"), bends(person.joints, angle.name, "right")

    def _show_plot(self) -> None:
        """The curves around now, which stays in the middle."""
        times, left, right = self._curves
        first = max(self._now - _PLOT_SECONDS, times[0])
        moments = np.linspace(first, max(min(self._now + _PLOT_SECONDS, times[-1]), first), _PLOT_POINTS)
        self._plot.data = (moments - self._now, *(np.interp(moments, times, curve) for curve in (left, right)))

    # ---------------------------------------------------------------------------------- camera and pictures

    def _turn(self, angle: float) -> None:
        """Turns every client's camera around what it looks at, rad.

        Where the browsers' own reports of their cameras arrive, so that none falls between the two halves of a move:
        the second half would then be taken for done, and the browser left to look beside its target.
        """
        for client in self._server.get_clients().values():
            self._server.get_event_loop().call_soon_threadsafe(_turn_camera, client, angle)

    def _send_picture(self, client: Any) -> None:
        if client is None:
            return
        from PIL import Image

        image = client.get_render(client.camera.image_height, client.camera.image_width, transport_format="png")
        data = io.BytesIO()
        Image.fromarray(image[..., :3]).save(data, "PNG")
        client.send_file_download(f"view-{self._now:07.3f}s.png", data.getvalue(), save_immediately=True)

    def _send_turntable(self, client: Any) -> None:
        """A video of one turn around what the client looks at, while time goes on or stands as it did."""
        if client is None:
            return
        from tracker.overlay.video_writer import VideoWriter

        width, height, count = _TURNTABLE
        moving, self._playing.value = self._playing.value, False
        start, first = self._now, np.asarray(client.camera.position)
        notice = client.add_notification("Turntable video", "0 %", loading=True, with_close_button=False)
        with TemporaryDirectory() as folder:
            path = Path(folder) / "turntable.mp4"
            with VideoWriter(path, (width, height), None) as video:
                for i in range(count):
                    if moving:
                        self._now = (start + i / _TURNTABLE_RATE) % max(self.duration, _TICK)
                        self._show()
                    video.write(i / _TURNTABLE_RATE, self._render(client, first, 2 * math.pi * i / count))
                    notice.body = f"{round(100 * (i + 1) / count)} %"
            client.send_file_download("turntable.mp4", path.read_bytes(), save_immediately=True)
        notice.remove()
        self._playing.value = moving

    def _render(self, client: Any, first: Any, angle: float) -> NDArray[np.uint8]:
        """(height, width, 3) from the client's browser, its camera turned from its first place."""
        width, height, _ = _TURNTABLE
        camera = client.camera
        place, target = _turned(first, camera.look_at, angle), np.asarray(camera.look_at)
        image = client.get_render(
            height, width, wxyz=_looking(place, target), position=place, fov=camera.fov, timeout=_PICTURE_SECONDS
        )
        return np.ascontiguousarray(image[..., :3])


def _colour(number: int) -> tuple[int, int, int]:
    """RGB of the so-manieth person."""
    return _COLOURS[number % len(_COLOURS)]


def _turn_camera(client: Any, angle: float) -> None:
    target = np.array(client.camera.look_at)
    _aim(client, _turned(client.camera.position, target, angle), target)


def _aim(client: Any, place: NDArray[np.float64], target: NDArray[np.float64]) -> None:
    """Puts a client's camera somewhere, m, and turns it to a target."""
    with client.atomic():
        client.camera.position = place  # which moves the target along
        client.camera.look_at = target


def _turned(place: Any, around: Any, angle: float) -> NDArray[np.float64]:
    """(3,) m: a place turned about a vertical axis, rad."""
    return np.asarray(around + SO3.from_y_radians(angle).apply(np.asarray(place) - around))


def _looking(place: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """(4,) wxyz of an upright camera (x right, y down, z forward) that looks at the target."""
    z = (target - place) / np.linalg.norm(target - place)
    x = np.cross([0.0, -1.0, 0.0], z)
    x /= np.linalg.norm(x)
    return np.asarray(SO3.from_matrix(np.stack([x, np.cross(z, x), z], axis=1)).wxyz)
