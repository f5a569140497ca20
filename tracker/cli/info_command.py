"""`info`: what a bug report needs."""

from __future__ import annotations

from typing import Any

import click

from tracker.cli.command_config import configured
from tracker.cli.command_options import COMMON


@click.command()
@COMMON
def info(**given: Any) -> None:
    """Versions, device, engines, body model and settings, as a bug report wants them."""
    from tracker.app.info import sections

    for title, rows in sections(configured(given, {})):
        click.echo(click.style(title, bold=True))
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            click.echo(f"  {name:{width}} {value}")
