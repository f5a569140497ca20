"""Where tracked frames go while they come: windows, pages, files, other programs. Any number of outputs at once."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from tracker.core.frame import Frame
from tracker.core.person import Person
from tracker.overlay.hud import draw_hud

log = logging.getLogger("tracker")

Picture = NDArray[np.uint8]
"""(height, width, 3) RGB."""


class Output(Protocol):
    """Takes each tracked frame, in the order of time, in the thread of the loop: what takes long belongs into a thread
    of its own."""

    name: str
    """For messages."""

    @property
    def wants_picture(self) -> bool:
        """Whether `send` is to be given the drawn picture; nothing is drawn that nobody wants."""
        ...

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        """picture: the frame with the people drawn over it; None where `wants_picture` is false."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class PictureFeed:
    """Base of outputs whose picture goes on to other programs: the live run's text is not drawn over it."""


@dataclass(frozen=True)
class LiveStatus:
    """How a live run is going."""

    rate: float = 0.0
    """Frames with people per second, lately; of all frames where nobody is in any."""
    latency_ms: float = 0.0
    """From the arrival of a frame with people to its drawn picture: the median of the recent ones."""
    latency_p95_ms: float = 0.0
    frames: int = 0
    frames_with_people: int = 0
    dropped: int = 0
    """Frames that were never looked at."""
    people: int = 0
    recording: bool = False
    draw: str = "mesh"
    """What is drawn over the picture: mesh, skeleton, confidence or off."""
    smoothing: bool = True
    notice: str = ""
    """What has just happened; empty when that is some time ago."""
    waiting: str = ""
    """What keeps pictures from coming; empty while they come."""


class StatusFeed:
    """Base of outputs that say how the run is going in a way of their own."""

    status: Callable[[], LiveStatus] = LiveStatus

    def follow(self, status: Callable[[], LiveStatus]) -> None:
        """status: gives what is to be said, in the loop's thread."""
        self.status = status

    def wait(self) -> None:
        """No picture comes: the status says why. Called several times a second while it lasts."""


class Scene(Protocol):
    """Bodies in 3D, for whoever draws them at the other end."""

    def mesh(self) -> bytes:
        """The body at rest, with what it takes to shape and to pose it."""
        ...

    def poses(self, frame: Frame, people: Sequence[Person]) -> bytes:
        """A frame's people, as `docs/stream.md` describes them."""
        ...


class SceneFeed:
    """Base of outputs that show bodies in 3D."""

    scene: Scene | None = None
    """None until the body is loaded."""


class Keys(Protocol):
    """What the user presses."""

    def key(self) -> str:
        """The key pressed since the last call, 'q' if what takes the keys was closed, '' for none."""
        ...


class NoKeys:
    """Nobody presses anything."""

    def key(self) -> str:
        return ""


class AnyKeys:
    """Keys of several kinds: a window's and a page's."""

    def __init__(self, keys: Sequence[Keys]) -> None:
        self._keys = keys

    def key(self) -> str:
        return next((key for each in self._keys if (key := each.key())), "")


class Outputs:
    """Several outputs as one. One that fails is closed, with a warning; the others go on."""

    name = "outputs"

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._outputs = list(outputs)

    @property
    def wants_picture(self) -> bool:
        return any(output.wants_picture for output in self._outputs)

    @property
    def left(self) -> int:
        """How many have not failed."""
        return sum(output.left if isinstance(output, WithHud) else 1 for output in self._outputs)

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        for output in list(self._outputs):
            with self._alone(output):
                output.send(frame, people, picture if output.wants_picture else None)

    def wait(self) -> None:
        """No picture comes."""
        for output in list(self._outputs):
            if isinstance(output, StatusFeed | WithHud):
                with self._alone(output):
                    output.wait()

    @contextmanager
    def _alone(self, output: Output) -> Iterator[None]:
        """Whatever goes wrong in the block is that output's alone."""
        try:
            yield
        except Exception as error:
            self._outputs.remove(output)
            others = ", the others go on" if self.left else ""
            log.warning("%s: stopped%s: %s", output.name, others, _described(error))
            self._close(output, _described(error))

    def close(self) -> None:
        for output in self._outputs:
            self._close(output)

    def _close(self, output: Output, known: str = "") -> None:
        """known: the fault that is why, which closing may meet again."""
        try:
            output.close()
        except Exception as error:
            if _described(error) != known:
                log.warning("%s: could not be closed: %s", output.name, _described(error))


def _described(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


class WithHud:
    """Lines of text over the picture, for outputs that people look at."""

    def __init__(self, outputs: Outputs, lines: Callable[[], list[str]]) -> None:
        self.name, self._outputs, self._lines = outputs.name, outputs, lines

    @property
    def wants_picture(self) -> bool:
        return self._outputs.wants_picture

    @property
    def left(self) -> int:
        """How many have not failed."""
        return self._outputs.left

    def send(self, frame: Frame, people: Sequence[Person], picture: Picture | None) -> None:
        self._outputs.send(frame, people, None if picture is None else draw_hud(picture, self._lines()))

    def wait(self) -> None:
        """No picture comes."""
        self._outputs.wait()

    def close(self) -> None:
        self._outputs.close()


def with_hud(outputs: Sequence[Output], lines: Callable[[], list[str]]) -> Outputs:
    """Outputs as one, with lines of text over the picture of those that people look at."""
    feeds = [output for output in outputs if isinstance(output, PictureFeed)]
    screens = [output for output in outputs if not isinstance(output, PictureFeed)]
    return Outputs([*feeds, WithHud(Outputs(screens), lines)])
