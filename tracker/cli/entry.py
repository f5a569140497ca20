"""The command line: `body-tracker COMMAND --help` (from a checkout `python run.py`) says what each command does.

Exit status: 0 done, 2 the input is at fault, 1 a failure while running, 130 interrupted (the line says what is saved).
"""

from __future__ import annotations

import logging
import sys

import click

from tracker import __version__
from tracker.cli.bench_group import bench
from tracker.cli.body_group import body
from tracker.cli.config_group import config_group
from tracker.cli.demo_command import demo
from tracker.cli.engine_group import engine
from tracker.cli.evaluate_group import evaluate
from tracker.cli.info_command import info
from tracker.cli.live_command import live
from tracker.cli.models_group import models
from tracker.cli.track_command import track
from tracker.cli.train_command import train
from tracker.cli.view_command import view
from tracker.core.errors import InputError, RunError
from tracker.core.shown_text import message_line, printable
from tracker.runtime.blas import name_the_processor
from tracker.runtime.garbage import seldom_collect
from tracker.runtime.heaps import keep_to_few_heaps
from tracker.runtime.helper_process import keep_current_folder_out
from tracker.runtime.standard_streams import secure_standard_streams

log = logging.getLogger("tracker")

COMMANDS = (track, live, view, demo, train, evaluate, body, engine, models, bench, config_group, info)


@click.group(commands=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="body-tracker")
def cli() -> None:
    """Tracks people in video: SMPL pose, shape and place for every frame and person, and a mesh over the picture."""


class _PrintableFormatter(logging.Formatter):
    """Escapes what a file's name could tell the terminal to do."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(map(printable, super().format(record).splitlines()))


def main() -> int:
    """Runs the command line and turns every failure into one line and its exit status."""
    secure_standard_streams()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_PrintableFormatter("%(message)s"))
    keep_to_few_heaps()
    seldom_collect()
    name_the_processor()
    keep_current_folder_out()
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.ctx.get_help() if error.ctx else str(error))
        return 2
    except click.ClickException as error:
        click.echo(f"error: {message_line(error.format_message())}", err=True)
        return 2
    except InputError as error:
        click.echo(f"error: {message_line(error)}", err=True)
        return 2
    except RunError as error:
        click.echo(f"error: {message_line(error)}", err=True)
        return 1
    except (KeyboardInterrupt, click.exceptions.Abort) as stop:
        reason = str(stop.__cause__ or stop)  # click raises its own in the place of the interrupt
        click.echo(reason or "interrupted", err=True)
        return 130
    except BrokenPipeError:
        return 1
    except Exception as error:
        log.debug("traceback", exc_info=True)
        click.echo(f"error: {type(error).__name__}: {message_line(error)}", err=True)
        return 1
    return 0
