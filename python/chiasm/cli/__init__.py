"""The command `chiasm`. Exit codes: 0, 1 (failed), 2 (wrong usage), 130 (interrupted)."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence

INTERRUPTED = 130
_INTERRUPTED_LINE = "chiasm: error: interrupted\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command line; errors go to standard error in one line."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    _fill_closed_streams()
    try:
        if argv == ["--version"]:  # at once, without what the commands need
            with ctrl_c_leaves():
                from chiasm._chiasm import __version__

            print(f"chiasm {__version__}")
            return 0
        return _run(argv)
    except KeyboardInterrupt:
        sys.stderr.write(_INTERRUPTED_LINE)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output has gone: nobody to tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(argv: list[str]) -> int:
    with ctrl_c_leaves():
        from chiasm.cli.app import command
        from chiasm.errors import Error

        if argv and not argv[0].startswith("-") and "--help" not in argv:
            import chiasm._load  # noqa: F401: NumPy and the extension, which commands need

    # Ctrl-C between the making of a library's coroutine and its start: Python would remark on it.
    warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
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


@contextlib.contextmanager
def ctrl_c_leaves() -> Iterator[None]:
    """Inside, Ctrl-C ends the process at once: raised in the midst of an import it would show as a
    traceback of whatever was being loaded. A SIGINT that the caller wants ignored stays so."""
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return

    def leave(number: int, frame: object) -> None:
        os.write(2, _INTERRUPTED_LINE.encode())
        os._exit(INTERRUPTED)

    try:
        signal.signal(signal.SIGINT, leave)
    except ValueError:  # not the main thread, which alone hears signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
