"""The first seconds of a live run: the camera's picture is on the screen while the networks are loading.

This module imports nothing that takes long: neither torch nor the networks' engines.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import sleep
from typing import TypeVar

import numpy as np

from tracker.core.frame import Frame
from tracker.outputs.output import AnyKeys, Keys, LiveStatus, Output, Outputs, StatusFeed, with_hud
from tracker.runtime.interrupt import Interrupt
from tracker.source import Source
from tracker.source.latest_frames import LatestFrames

log = logging.getLogger("tracker")

LOADING = "loading the networks ..."
_PATIENCE = 0.05
"""s between two looks at whether they are loaded, while no picture comes."""

Loaded = TypeVar("Loaded")


@dataclass(frozen=True)
class PagePlace:
    """Where the page for browsers is."""

    port: int
    host: str
    """The address that is listened on."""
    folder: Path
    """Of the recordings."""


@dataclass(frozen=True)
class Screens:
    """What people look at, and press keys in."""

    outputs: Sequence[Output]
    keys: Keys
    address: str = ""
    """Of the page; empty without one."""
    for_others: bool = False
    """Whether other machines can open it."""

    def tell_address(self) -> None:
        """The link, and for other machines its QR code: phones have a camera, and no patience for tokens."""
        from tracker.outputs.qr_code import qr_lines

        if self.address:
            log.info("the live picture is at %s", self.address)
        for line in qr_lines(self.address) if self.for_others else []:
            log.info("%s", line)


@contextmanager
def open_screens(window: bool, page: PagePlace | None) -> Iterator[Screens]:
    """A window, and a page for browsers. Raises InputError where one cannot be had."""
    outputs: list[Output] = []
    keys: list[Keys] = []
    address, for_others = "", False
    try:
        if page is not None:
            from tracker.outputs.http_server import is_loopback
            from tracker.outputs.web import WebPage

            served = WebPage(page.port, page.host, page.folder)
            outputs.append(served)
            keys.append(served)
            address, for_others = served.address, not is_loopback(page.host)
        if window:
            from tracker.outputs.window import Window

            shown = Window()
            outputs.append(shown)
            keys.insert(0, shown)  # it is asked each time, which keeps it alive
        yield Screens(outputs, AnyKeys(keys), address, for_others)
    finally:
        Outputs(outputs).close()


def loaded_meanwhile(
    load: Callable[[], Loaded], source: Source, frames: LatestFrames | None, screens: Screens, interrupt: Interrupt
) -> Loaded | None:
    """What `load` gives, in a thread of its own, while the screens show the camera's pictures; None if the user quits.

    frames: None for a file in the place of a camera, which begins when everything is loaded: until then the screens are
    dark. Raises what `load` raises, and what keeps the camera from giving pictures.
    """
    for output in screens.outputs:
        if isinstance(output, StatusFeed):
            output.follow(lambda: LiveStatus(waiting=LOADING))
    shown = with_hud(screens.outputs, lambda: [f"{LOADING}   q quit"])
    pictures = _dark(source) if frames is None else (None if taken is None else taken.frame for taken in frames)
    with ThreadPoolExecutor(1, "load") as loader:
        loading = loader.submit(load)
        for frame in pictures:
            if frame is not None:
                shown.send(frame, [], frame.image)
            if loading.done():
                break
            if interrupt.requested or screens.keys.key() == "q":
                return None
        return loading.result()


def _dark(source: Source) -> Iterator[Frame | None]:
    """One dark picture of the source's size, and no other."""
    info = source.info
    yield Frame(0, 0.0, np.zeros((info.height, info.width, 3), np.uint8))
    while True:
        sleep(_PATIENCE)
        yield None
