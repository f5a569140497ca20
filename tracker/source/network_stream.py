"""Live streams over the network (RTSP, MJPEG and others over HTTP, MPEG-TS over UDP), through FFmpeg."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

from av.container import InputContainer

from tracker.core.errors import InputError
from tracker.core.shown_text import shown_address
from tracker.source.container import DecodingProblems, decode, open_container, video_stream
from tracker.source.live_source import ConnectionLost, LiveSource, Picture
from tracker.source.picture_converter import PictureConverter
from tracker.source.sender_clock import SenderClock
from tracker.source.source import Clip, LiveConfig, SourceInfo
from tracker.source.video import nominal_rate

LOW_DELAY = {"fflags": "nobuffer", "flags": "low_delay", "rtsp_transport": "tcp"}

PICTURE_SECONDS = 30.0
"""A stream that sends, but nothing that can be decoded, for this long counts as lost. Key frames may be 10 s apart."""

CLOCKLESS_FORMATS = frozenset({"mpjpeg"})
"""Formats whose pictures carry no time: FFmpeg makes one up from a rate of 25."""


def is_recorded(address: str, config: LiveConfig) -> bool:
    """Whether an address is that of a file: it has a length. Raises InputError when it cannot be opened."""
    with open_container(address, config.timeout_seconds, trust=config.trust) as container:
        playlist = container.format.name in ("hls", "dash")  # its own length says nothing about the video's
        return container.duration is not None or (container.size > 0 and not playlist)


class StreamSource(LiveSource):
    """A live stream. `Frame.time` is on the monotonic clock: pictures are placed by the sender's timestamps
    (`SenderClock`), or at their arrival where the sender gives none.
    """

    def __init__(self, address: str, clip: Clip, config: LiveConfig) -> None:
        self._address = address
        shown = shown_address(address)
        self._container: InputContainer | None = open_container(
            address, config.timeout_seconds, LOW_DELAY, config.trust
        )
        stream = video_stream(self._container)
        first = next(decode(self._container, DecodingProblems(), PICTURE_SECONDS), None)
        if first is None:
            self._disconnect()
            raise InputError(f"{shown}: sends no picture that can be decoded; check the address and the sender")
        height, width = PictureConverter(stream.sample_aspect_ratio)(first).shape[:2]
        info = SourceInfo(
            name=re.sub(r"[^A-Za-z0-9.-]+", "_", shown.split("://", 1)[1]).strip("_."),
            kind="stream",
            width=width,
            height=height,
            rate=None if self._container.format.name in CLOCKLESS_FORMATS else nominal_rate(stream),
            frame_count=None,
            duration=None,
            has_audio=False,
            location=shown,
            live=True,
        )
        super().__init__(info, clip, config)
        self._clock = SenderClock(self.note)

    def _pictures(self) -> Iterator[Picture]:
        container = self._container = self._container or self._connect()
        stream = video_stream(container)
        convert = PictureConverter(stream.sample_aspect_ratio)
        clockless = container.format.name in CLOCKLESS_FORMATS
        problems = DecodingProblems()
        self._clock.reconnect()
        for picture in decode(container, problems, PICTURE_SECONDS):
            sent = None if clockless else picture.time
            yield self._clock.moment(sent, time.monotonic()), convert(picture)
        raise ConnectionLost(f"the stream stopped ({problems.last or 'the sender closed it'})")

    def _connect(self) -> InputContainer:
        try:
            return open_container(self._address, self._config.timeout_seconds, LOW_DELAY, self._config.trust)
        except InputError as error:
            raise ConnectionLost(str(error).removeprefix(f"{self.info.location}: ")) from None

    def _disconnect(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None
