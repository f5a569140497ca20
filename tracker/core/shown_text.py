"""What of inputs, files and addresses is printed and stored: no passwords, no control characters, no endless lines."""

from __future__ import annotations

import re

_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*://)(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_ADDRESS_IN_TEXT = re.compile(r"[a-z][a-z0-9+.-]*://\S*[^\s:;,.)]", re.IGNORECASE)
_HOST = re.compile(r"(\[[0-9a-f:.%]*\]|[^:\[\]]*)(:\d*)?", re.IGNORECASE)
_SECRET = re.compile(r"((?:pass|pwd|token|key|secret|sig|auth|user|login)[\w.-]*)=[^&;/]*", re.IGNORECASE)
_LONGEST_MESSAGE = 300
_KEPT_END = 100
"""Characters of a long message's end, where the remedy stands."""


def is_address(location: str) -> bool:
    """Whether this is scheme://… rather than a path."""
    return _ADDRESS.match(location) is not None


def shown_address(location: str) -> str:
    """An address without user name, password and query; anything else as it is.

    Passwords are often typed with characters that should have been escaped (`/ # ? @`): the last `@` ends them, unless
    what stands before the path can be nothing but a host.
    """
    match = _ADDRESS.match(location)
    if match is None:
        return location
    rest = match["rest"]
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if "@" in rest and ("@" in authority or ":" in authority):
        rest = rest.rpartition("@")[2]
    path = re.split(r"[?#]", rest, maxsplit=1)[0]
    host, slash, below = path.partition("/")
    host = host if _HOST.fullmatch(host) else "***"
    return match["scheme"] + host + slash + _SECRET.sub(r"\1=***", below)


def printable(text: str) -> str:
    """The text with escapes in the places of control characters, and of bytes that are not UTF-8."""
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode("ascii") for each in text)


def warnings_hint(count: int) -> str:
    """What is said behind the line on a result with so many warnings."""
    return f"; {count} warning{'s' if count > 1 else ''}, see run.json" if count else ""


def message_line(error: object) -> str:
    """What is printed of an error: one line of at most 300 characters, in which addresses are shown without secrets."""
    text = " ".join(_ADDRESS_IN_TEXT.sub(lambda match: shown_address(match[0]), str(error)).split())
    text = printable(text)
    if len(text) <= _LONGEST_MESSAGE:
        return text
    return f"{text[: _LONGEST_MESSAGE - _KEPT_END - 3]} … {text[-_KEPT_END:]}"
