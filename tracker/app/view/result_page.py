"""The viewer's page before there is anything on it: browsers open it while the results are read.

This module imports viser and nothing else that takes long: torch alone takes a second.
"""

from __future__ import annotations

import io
import logging
from contextlib import redirect_stdout
from typing import Any

from tracker.core.errors import InputError

LOADING = "Loading the results …"


class ResultPage:
    """A viser server on this machine."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        """port: the first one from there on that is free; 0 takes any. Raises InputError without viser."""
        try:
            import viser
        except ImportError:
            raise InputError("view: needs the package viser; pip install 'body-tracker[view]'") from None
        logging.getLogger("websockets").setLevel(logging.WARNING)  # it tells everybody that it listens
        with redirect_stdout(io.StringIO()):  # it prints a frame with addresses
            self.server: Any = viser.ViserServer(host=host, port=port, label="body-tracker", verbose=False)
        self.server.gui.configure_theme(control_layout="collapsible", show_logo=False, show_share_button=False)
        self._loading = self.server.gui.add_markdown(LOADING)

    @property
    def address(self) -> str:
        return f"http://{self.server.get_host()}:{self.server.get_port()}"

    def loaded(self) -> None:
        """The results are there."""
        self._loading.remove()

    def close(self) -> None:
        with redirect_stdout(io.StringIO()):
            self.server.stop()
