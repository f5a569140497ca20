"""The documentation: the site builds without a warning, and what its pages show runs."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import click
import pytest

from tests import ROOT
from tests.programs import run_program
from tracker.cli.entry import cli

PAGES = sorted([*(ROOT / "docs").glob("*.md"), ROOT / "README.md"])


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    run_program(command)
    for page in (ROOT / "docs").glob("*.md"):
        name = "" if page.stem == "index" else page.stem
        assert (tmp_path / "site" / name / "index.html").is_file(), f"{page.name} is not in mkdocs.yml"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_and_options_on_the_pages_exist(page: Path) -> None:
    for line in re.findall(r"^body-tracker .*$", page.read_text(encoding="utf-8"), re.MULTILINE):
        words = line.split("#")[0].split("|")[0].split()[1:]
        command: click.Command = cli
        while isinstance(command, click.Group) and words and not words[0].startswith("-"):
            assert words[0] in command.commands, f"{line}: no such command"
            command = command.commands[words.pop(0)]
        options = {option for each in command.params for option in each.opts} | {"--help", "--version"}
        used = {word.split("=")[0] for word in words if word.startswith("--")}
        assert used <= options, f"{line}: {used - options}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_on_the_pages_is_python(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        ast.parse(block)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pictures_and_pages_that_are_linked_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links {target}"
