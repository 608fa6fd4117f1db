"""What is shown in a terminal while something takes longer than a second."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Timer

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

Told = Callable[[int, int | None], None]
"""Told how many are done, and of how many (None if not known)."""


@contextmanager
def working(what: str, *, after: float = 1.0) -> Iterator[None]:
    """A spinner with `what` and the time, once it has taken `after` seconds.

    Nothing is shown where standard error is no terminal.
    """
    with _shown((SpinnerColumn(), TextColumn(what), TimeElapsedColumn()), after):
        yield


@contextmanager
def counting(what: str, *, after: float = 1.0) -> Iterator[Told]:
    """A function to tell how many are done, and of how many; a bar once it takes `after` seconds.

    Nothing is shown where standard error is no terminal.
    """
    columns = TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with _shown(columns, after) as told:
        yield told


@contextmanager
def _shown(columns: tuple[ProgressColumn, ...], after: float) -> Iterator[Told]:
    # The stream itself: what is worked on may silence others by putting another in its place.
    console = Console(file=sys.stderr)
    if not console.is_terminal:
        yield lambda done, total: None
        return
    # It starts in a thread of its own, at any time: were it to put a stream of its own in the place
    # of standard output, it might later put back one that another has put there for a while.
    bar = Progress(
        *columns, console=console, transient=True, redirect_stdout=False, redirect_stderr=False
    )
    task = bar.add_task("", total=None)
    timer = Timer(after, bar.start)
    timer.daemon = True
    timer.start()
    try:
        yield lambda done, total: bar.update(task, completed=done, total=total)
    finally:
        timer.cancel()
        timer.join()
        bar.stop()
