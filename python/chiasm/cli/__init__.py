"""The command `chiasm`. Exit codes: 0, 1 (failed), 2 (wrong usage), 130 (interrupted)."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; errors go to standard error in one line."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    _fill_closed_streams()
    try:
        if argv == ["--version"]:  # at once, without what the commands need
            from chiasm._chiasm import __version__

            print(f"chiasm {__version__}")
            return 0
        return _run(argv)
    except KeyboardInterrupt:
        _complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone: nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(argv: list[str]) -> int:
    from chiasm.cli.app import command
    from chiasm.errors import Error

    try:
        code = command().main(args=argv, prog_name="chiasm", standalone_mode=False)
        sys.stdout.flush()
        if code == INTERRUPTED:  # Typer swallows Ctrl-C
            raise KeyboardInterrupt
        return code if isinstance(code, int) else 0
    except Error as e:
        _complain(str(e))
        return 1
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except OSError as e:
        _complain(f"{e.filename or 'writing the output'}: {e.strerror or e}")
        return 1
    except Exception as e:
        # Typer's own errors; by what they can do, since it has its own copy of click's classes.
        if type(e).__name__ == "Abort":
            raise KeyboardInterrupt from e
        if hasattr(e, "format_message"):
            _complain(e.format_message())
            return int(getattr(e, "exit_code", 2))
        raise


def _fill_closed_streams() -> None:
    """A stream that the caller closed (`<&-`, `>&-`) is None in Python: nothing to read, and nobody
    who reads."""
    if sys.stdin is None:
        sys.stdin = open(os.devnull)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")


def _complain(message: str) -> None:
    line = " ".join(message.split())
    sys.stderr.write(f"chiasm: error: {line}\n")
