"""The `penny` command: a subcommand is imported when it is called, so that help is quick."""

import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, Final

import rich_click as click

from errors import PennyError
from settings import SettingsError
from stack.processes import StackError

COMMANDS: Final = {
    "dev": "Run everything on this machine, servers included, for development.",
    "serve": "Answer the API.",
    "worker": "Make answers and send mails.",
    "migrate": "Bring the database to the newest migration.",
    "search": "Look after the index of search.",
    "doctor": "Check every part, and say what to do where one is not well.",
    "settings": "List all settings.",
    "errors": "List all codes of errors.",
    "metrics": "List all metrics.",
    "schema": "Write the API's schema and its reference, or compare it with what was committed and released.",
    "documents": "Publish what clients send, and look whether the API still answers it.",
    "chat": "Talk to a model in this terminal.",
}
INTERRUPTED: Final = 130  # 128 and the number of SIGINT, as shells have it


class LazyGroup(click.RichGroup):
    """Lists its commands without importing them; `penny NAME` imports `cli.NAME` and calls what it calls `command`."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the order in which they are explained."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return a stand-in that knows no more than what the list of commands shows."""
        sentence = COMMANDS.get(cmd_name)
        return click.Command(cmd_name, help=sentence) if sentence else None

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        """Import the command that is called."""
        name, stand_in, rest = super().resolve_command(ctx, args)
        return name, stand_in and importlib.import_module(f"cli.{name}").command, rest


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show where in the code a failure came from.")
@click.version_option(package_name="penny", message="%(package)s %(version)s")
def penny(*, debug: bool) -> None:
    """An open, multi-tenant AI chat platform behind one GraphQL API."""


def main() -> None:
    """Run the command of this process's arguments."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status; a failure is one line on stderr."""
    try:
        return _status(penny(list(arguments), prog_name="penny", standalone_mode=False))
    except click.UsageError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        sys.stderr.write(f"penny: {error.format_message()}\n")
        return error.exit_code
    except click.Abort:
        sys.stderr.write("\n")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has heard enough; without this, Python complains once more when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001 - the last word on whatever went wrong
        _tell(error, debug="--debug" in arguments)
        return 1


def _status(answer: Any) -> int:
    return answer if isinstance(answer, int) else 0


def _tell(error: Exception, *, debug: bool) -> None:
    if debug:
        traceback.print_exception(error)
    elif isinstance(error, SettingsError | PennyError | StackError):
        sys.stderr.write(f"penny: {error}\n")
    else:
        sys.stderr.write(f"penny: {type(error).__name__}: {error} (`penny --debug …` shows where)\n")


if __name__ == "__main__":
    main()
