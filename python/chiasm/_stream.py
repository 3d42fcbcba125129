"""An answer, piece by piece."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from types import TracebackType

from chiasm import _chiasm
from chiasm._results import Result, result_of


class Stream:
    """Iterator over the pieces of an answer. A thread of its own runs the request.

    Leaving the loop early, `close()` and the end of a `with` block cancel the request. After the
    last piece `result` holds what `Model.generate` would have returned.
    """

    def __init__(self, run: Callable[[Callable[[str], bool], _chiasm.CancelFlag], _chiasm.Result]):
        pieces: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        cancel = _chiasm.CancelFlag()
        done: dict[str, _chiasm.Result | BaseException] = {}

        def receive(piece: str) -> bool:
            pieces.put(piece)
            return threading.main_thread().is_alive()  # a finished program waits for no answer

        def work() -> None:  # refers to no `self`, so that a forgotten stream is cancelled
            try:
                done["result"] = run(receive, cancel)
            except BaseException as e:  # for the reader to raise
                done["error"] = e
            pieces.put(None)

        self._pieces = pieces
        self._cancel = cancel
        self._done = done
        self._finished = False
        self._thread = threading.Thread(target=work, name="chiasm-stream")
        self._thread.start()

    @property
    def result(self) -> Result | None:
        """The whole answer; None until it is complete and after a cancelled one."""
        native = self._done.get("result") if self._finished else None
        return None if native is None or isinstance(native, BaseException) else result_of(native)

    def __iter__(self) -> Stream:
        return self

    def __next__(self) -> str:
        if self._finished:
            raise StopIteration
        try:
            piece = self._pieces.get()
        except BaseException:  # Ctrl-C
            self.close()
            raise
        if piece is not None:
            return piece
        self._finished = True
        self._thread.join()
        error = self._done.pop("error", None)
        if isinstance(error, BaseException):
            raise error
        raise StopIteration

    def close(self) -> None:
        """Cancels the request and waits for its end. The model stays usable."""
        self._cancel.set()
        self._thread.join()
        if not self._finished:
            self._finished = True
            self._done.clear()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_thread", None) is not None and not self._finished:
            self.close()
