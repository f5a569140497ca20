"""What is printed and stored of addresses and names that were not made to be printed."""

from __future__ import annotations

import pytest

from tracker.core.shown_text import message_line, printable, shown_address


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://joe:SECRET@host/live",
        "rtsp://joe:SECRET@SECRET@host/live",
        "rtsp://joe:SECRET/SECRET@host/live",
        "rtsp://joe:SECRET#SECRET@host/live",
        "rtsp://joe:SECRET?SECRET@host/live",
        "rtsp://joe:1/SECRET@host/live",
        "rtsp://SECRET@host/live",
        "RTSP://joe:SECRET@host/live",
        "rtsp://host/live?user=SECRET",
        "rtsp://host/live?token=SECRET#SECRET",
        "rtsp://host/live?api_key=SECRET&X-Amz-Signature=SECRET&sig=SECRET",
        "rtsp://host/live?mail=a@SECRET",
        "rtsp://joe:SECRET@host/live?mail=a",
    ],
)
def test_no_secret_is_shown_and_the_place_is(address: str) -> None:
    assert shown_address(address).lower() == "rtsp://host/live"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("rtsp://host:554/live/main", "rtsp://host:554/live/main"),
        ("http://[::1]:8080/a.mp4", "http://[::1]:8080/a.mp4"),
        ("https://host/@channel/a.mp4", "https://host/@channel/a.mp4"),
        ("rtsp://joe:SECRET", "rtsp://***"),
        ("rtsp://host/user=joe&password=SECRET&channel=1", "rtsp://host/user=***&password=***&channel=1"),
        ("films/key=note?.mp4", "films/key=note?.mp4"),
        ("http://[bad", "http://***"),
        ("udp://@:1234", "udp://:1234"),
    ],
)
def test_other_addresses_stay_as_far_as_they_can(address: str, shown: str) -> None:
    assert shown_address(address) == shown


def test_control_characters_and_wrong_bytes_are_escaped() -> None:
    assert printable("caf\udce9\x1b[31m\n\u202eé") == r"caf\udce9\x1b[31m\n\u202eé"


def test_a_message_is_one_short_line_that_keeps_both_ends() -> None:
    message = message_line("file.mp4: " + "x\n" * 1000 + " rtsp://me:SECRET@host/a?b: give another")
    assert len(message) == 300
    assert message.startswith("file.mp4: x x")
    assert message.endswith("rtsp://host/a: give another")
    assert (
        message_line("udp://127.0.0.1:5000: no answer (udp://host:1).")
        == "udp://127.0.0.1:5000: no answer (udp://host:1)."
    )
