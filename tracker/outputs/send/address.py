"""Where an output sends to, as the user writes it: `SCHEME://HOST:PORT` or `SCHEME:PATH`, with `?OPTION=VALUE`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import parse_qsl, urlsplit

from tracker.core.errors import InputError

_EXAMPLE_PORT = 9000
"""In messages, for outputs that have none of their own."""


@dataclass(frozen=True)
class SendAddress:
    """One `--send`, taken apart."""

    text: str
    """As the user wrote it, for messages."""
    scheme: str
    host: str
    """Empty where the address is a path."""
    port: int | None
    path: str
    options: dict[str, str]

    @classmethod
    def parse(cls, text: str) -> SendAddress:
        """Raises InputError where the text is no address."""
        scheme, colon, rest = text.partition(":")
        if not colon or not scheme.isalnum():
            raise InputError(f"--send {text}: expected an address such as vmc://127.0.0.1:39539 or jsonl:-")
        if not rest.startswith("//"):
            path, _, query = rest.partition("?")
            return cls(text, scheme.lower(), "", None, path, _options(text, query))
        try:
            parts = urlsplit(text)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            example = f"{scheme.lower()}://127.0.0.1:{_EXAMPLE_PORT}"
            raise InputError(f"--send {text}: {error}; expected an address such as {example}") from error
        return cls(text, scheme.lower(), host, port, parts.path, _options(text, parts.query))

    def endpoint(self, port: int | None = None) -> tuple[str, int]:
        """Host and port. port: where the address may leave it out. Raises InputError where one is missing."""
        given = self.port if self.port is not None else port
        if not self.host or given is None:
            example = f"{self.scheme}://127.0.0.1:{port or _EXAMPLE_PORT}"
            self.refuse(f"expected a host and a port, such as {example}")
        return self.host, given

    def file(self) -> str:
        """The path. Raises InputError where there is none."""
        if self.host or not self.path:
            self.refuse(f"expected {self.scheme}:FILE, such as {self.scheme}:out.{self.scheme}")
        return self.path

    @property
    def place(self) -> Path | None:
        """Where the file or device lies; None for an address of the network."""
        return None if self.host or not self.path else Path(self.path).resolve()

    def choice(self, option: str, choices: Collection[str], default: str) -> str:
        """The value of an option that takes one of a few. Raises InputError for any other."""
        value = self.options.get(option, default)
        if value not in choices:
            self.refuse(f"{option}={value}: expected one of {', '.join(choices)}")
        return value

    def number(self, option: str) -> int | None:
        """The value of an option that takes a number from 0 on; None where it is not given."""
        value = self.options.get(option)
        if value is not None and not value.isdecimal():
            self.refuse(f"{option}={value}: expected a number such as 0")
        return None if value is None else int(value)

    def only(self, *known: str) -> SendAddress:
        """This address. Raises InputError for an option that the output does not have."""
        for option in self.options:
            if option not in known:
                self.refuse(f"{option}: no such option; {self.scheme} has {', '.join(known) or 'none'}")
        return self

    def refuse(self, sentence: str) -> NoReturn:
        """Raises InputError that names the address."""
        raise InputError(f"--send {self.text}: {sentence}")


def _options(text: str, query: str) -> dict[str, str]:
    try:
        return dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError:
        raise InputError(f"--send {text}: expected ?OPTION=VALUE&OPTION=VALUE behind the address") from None
