"""Where pictures come from: webcams, files, photos and streams, all as timestamped upright RGB frames.

Everything downstream sees only `Frame`: what is peculiar to a container, a driver or a network stays in here. Names are
loaded when they are first asked for: who brings pictures of their own needs no library that reads video.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tracker.core.lazy_names import names_on_demand

if TYPE_CHECKING:
    from tracker.source.focal_length import guessed_focal
    from tracker.source.inputs import VIDEO_SUFFIXES, Input, find_inputs, spec_of
    from tracker.source.opening import open_live_source, open_source
    from tracker.source.playback import PacedSource, paced
    from tracker.source.source import Clip, InputTrust, LiveConfig, Source, SourceInfo, SourceKind

_HOMES = {
    "VIDEO_SUFFIXES": "inputs",
    "Clip": "source",
    "Input": "inputs",
    "InputTrust": "source",
    "LiveConfig": "source",
    "PacedSource": "playback",
    "Source": "source",
    "SourceInfo": "source",
    "SourceKind": "source",
    "find_inputs": "inputs",
    "guessed_focal": "focal_length",
    "open_live_source": "opening",
    "open_source": "opening",
    "paced": "playback",
    "spec_of": "inputs",
}
"""Public name → the module that holds it."""

__all__ = [
    "VIDEO_SUFFIXES",
    "Clip",
    "Input",
    "InputTrust",
    "LiveConfig",
    "PacedSource",
    "Source",
    "SourceInfo",
    "SourceKind",
    "find_inputs",
    "guessed_focal",
    "open_live_source",
    "open_source",
    "paced",
    "spec_of",
]

__getattr__ = names_on_demand(__name__, _HOMES)
