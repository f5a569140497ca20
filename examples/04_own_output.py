"""Send tracked people somewhere of your own while they come: here one line of JSON a frame over UDP.

python examples/04_own_output.py 0 --to 127.0.0.1:9000
"""

import argparse
import json
import socket
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tracker import Frame, InputError, Output, Person, RunError, Tracker, load_config
from tracker.app.live import LiveJob, LiveSession
from tracker.runtime.interrupt import deferred_interrupt
from tracker.source import open_live_source


class UdpOutput:
    """Joints of everybody, metres in the camera's frame, as JSON."""

    name, wants_picture = "udp", False

    def __init__(self, family: int, target: tuple[str | int, ...]) -> None:
        """As `socket.getaddrinfo` gives them."""
        self._socket, self._target = socket.socket(family, socket.SOCK_DGRAM), target

    def send(self, frame: Frame, people: Sequence[Person], picture: np.ndarray | None) -> None:
        joints = {str(person.person_id): person.joints3d.round(3).tolist() for person in people}
        self._socket.sendto(json.dumps({"time": frame.time, "joints": joints}).encode(), self._target)

    def close(self) -> None:
        self._socket.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="number of a camera, stream address, or a file that is played as a camera")
    parser.add_argument("--to", default="127.0.0.1:9000", help="HOST:PORT")
    given = parser.parse_args()

    host, _, port = given.to.rpartition(":")
    try:
        family, *_, target = socket.getaddrinfo(host, int(port), type=socket.SOCK_DGRAM)[0]
    except (OSError, ValueError, OverflowError) as error:
        parser.error(f"--to {given.to}: expected HOST:PORT of a host that can be reached ({error})")
    output: Output = UdpOutput(family, target)
    config = load_config("live", {"detect": {"punctual": False}})
    with (
        deferred_interrupt() as interrupt,
        open_live_source(given.source) as source,
        Tracker.open(config) as tracker,
    ):
        result = LiveSession(LiveJob(Path("out")), tracker, [output]).run(source, interrupt)
    output.close()
    print(f"{result.frames} frames, {result.pace.rate:.1f} a second, {result.dropped} dropped")


if __name__ == "__main__":
    try:
        main()
    except (InputError, RunError) as error:
        raise SystemExit(f"error: {error}") from None
