"""The command ``bamdmux``: finds the subcommand, and says errors in one line.

Exit codes: 0 done, 1 this machine or the link failed, 2 wrong usage; of ``run`` the command's own.
"""

import importlib
import logging
import os
import sys
from collections.abc import Sequence
from typing import Final

import click

from bamdmux.errors import BamDmuxError, UsageError
from bamdmux.pump import check_choice
from bamdmux.version import VERSION

FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130  # as a shell says of SIGINT

# Each is a module of this package, imported when it is asked for: starting up costs time.
SUBCOMMANDS: Final = (
    "run",
    "connect",
    "disconnect",
    "host",
    "modem",
    "ctl",
    "doctor",
    "bench",
    "profiles",
    "sim",
    "explore",
)


class Subcommands(click.Group):
    """Subcommands that are imported late."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in SUBCOMMANDS:
            return None
        command: click.Command = importlib.import_module(f"bamdmux.cli.{name}").command
        return command


class LogFormatter(logging.Formatter):
    """Times and names for those who asked for a log; for others a line like that of an error."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        if logging.getLogger("bamdmux").isEnabledFor(logging.INFO):
            return super().formatMessage(record)
        return f"bamdmux: {record.message}"


@click.command(cls=Subcommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="bamdmux")
@click.option("-v", "--verbose", count=True, help="Log what happens to stderr; twice for every detail.")
@click.option("-q", "--quiet", is_flag=True, help="Log warnings only, also where more is usual.")
def bamdmux(verbose: int, quiet: bool) -> None:
    """Qualcomm's BAM-DMUX modem link in userspace.

    Start with `bamdmux run`: a shell whose only way out is wwan0, over BAM-DMUX, through a modem.
    """
    check_choice()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(LogFormatter("%(relativeCreated)8.1f %(name)s %(message)s"))
    logging.basicConfig(handlers=[handler])
    if verbose or quiet:  # else the subcommand's choice: services say more
        level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
        logging.getLogger("bamdmux").setLevel(level)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; its exit code."""
    _open_standard_streams()
    try:
        code = bamdmux.main(arguments, prog_name="bamdmux", standalone_mode=False)
        if sys.stdout is not None:  # closed by our caller
            sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)
        return WRONG_USAGE
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "bamdmux"
        return _fail(f"{error.format_message().rstrip('.')}; see {path} -h", WRONG_USAGE)
    except click.ClickException as error:
        return _fail(error.format_message(), WRONG_USAGE)
    except UsageError as error:
        return _fail(str(error), WRONG_USAGE)
    except BamDmuxError as error:
        return _fail(str(error), FAILED)
    except OSError as error:
        return _fail_to_write(error)
    except (click.Abort, KeyboardInterrupt):
        return INTERRUPTED


def _open_standard_streams() -> None:
    """Fill the numbers 0 to 2 that our caller has closed, lest a socket of ours gets one of them."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _fail(message: str, code: int) -> int:
    print(f"bamdmux: {' '.join(message.split())}", file=sys.stderr)
    return code


def _fail_to_write(error: OSError) -> int:
    """Nobody took our output: a full disk, or a reader who has seen enough."""
    logging.getLogger("bamdmux").debug("this happened:", exc_info=error)
    if not isinstance(error, BrokenPipeError):
        where = f" {error.filename}" if error.filename else ""
        _fail(f"cannot go on:{where} {error.strerror}; mend that and start again", FAILED)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is buffered goes nowhere, and quietly
    return FAILED
