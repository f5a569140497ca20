"""`config`: every key that can be set."""

from __future__ import annotations

import shutil

import click


@click.group("config")
def config_group() -> None:
    """What can be set, and what it is set to."""


@config_group.command("list")
def config_list() -> None:
    """The configurations that come with the tracker."""
    from tracker.app.config_commands import names

    for line in names():
        click.echo(line)


@config_group.command("show")
@click.argument("name", default="live")
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE", help="Change a key before showing.")
def config_show(name: str, assignments: tuple[str, ...]) -> None:
    """Every key of a configuration with its meaning and value.

    NAME is one of `config list` (default: live) or a YAML file. What is printed is YAML: keep it as a file, change it,
    and give it to --config.
    """
    from tracker.app.config_commands import shown
    from tracker.core.strict_yaml import assigned

    lines = list(shown(name, assigned(assignments), shutil.get_terminal_size((110, 24)).columns))
    click.echo("\n".join(lines))
