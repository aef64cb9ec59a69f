"""Keeping the exporters' chatter to itself without hiding what goes wrong."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator

from edgerig.errors import EdgerigError, ModelError


@contextlib.contextmanager
def quiet(doing: str) -> Iterator[None]:
    """Hold back what a library prints, logs and warns of; what it raises becomes a ModelError.

    Args:
        doing: what is done, for the error: "NAME cannot be exported to ONNX".

    Raises:
        ModelError: anything was raised that is none of our own errors; the last line that the library wrote to
            standard error, which may be all that its compiled part says, is told too.
    """
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), _logging(), _standard_error() as said:
        warnings.simplefilter("ignore")
        try:
            yield
        except (EdgerigError, OSError):
            raise
        except Exception as error:
            raise ModelError(f"{doing}: {_told(error, said())}.") from error


@contextlib.contextmanager
def _logging() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


@contextlib.contextmanager
def _standard_error() -> Iterator[Callable[[], str]]:
    """Keep file descriptor 2, to which compiled libraries write, in a file; yield what reads it."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        before = os.dup(2)
        os.dup2(kept.fileno(), 2)

        def said() -> str:
            kept.seek(0)
            return kept.read().decode(errors="replace")

        try:
            yield said
        finally:
            sys.stderr.flush()
            os.dup2(before, 2)
            os.close(before)


def _told(error: Exception, said: str) -> str:
    lines = [line.strip() for line in (str(error) or type(error).__name__).splitlines() if line.strip()]
    wrong = [line for line in said.splitlines() if "error" in line.lower()][-1:]
    return " | ".join([" ".join(lines)[:300].rstrip("."), *(line.strip()[:200] for line in wrong)])
