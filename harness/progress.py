"""What a person sees while measuring: a bar for each target on a terminal, a line now and then elsewhere; on stderr."""

from __future__ import annotations

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Protocol, Self

import rich.progress
from rich.console import Console
from rich.text import Text

from reports.figures import duration

EVERY_S = 10.0  # between lines where there is no terminal


class Progress(Protocol):
    """Who is told how far measuring is. Seconds are the method's, known beforehand, not the clock's."""

    def target(self, name: str, seconds: float) -> None:
        """A target will need about so many seconds."""
        ...

    def more(self, name: str, seconds: float) -> None:
        """A target will need so many seconds more than was said, or fewer."""
        ...

    def step(self, name: str, text: str) -> None:
        """A target now does this."""
        ...

    def advance(self, name: str, seconds: float) -> None:
        """So many of a target's seconds are done."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Silent:
    """Tells nobody; for `--json` without a terminal and for Python."""

    def target(self, name: str, seconds: float) -> None:
        """Ignore it."""

    def more(self, name: str, seconds: float) -> None:
        """Ignore it."""

    def step(self, name: str, text: str) -> None:
        """Ignore it."""

    def advance(self, name: str, seconds: float) -> None:
        """Ignore it."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""


def bars(console: Console, **how: Any) -> rich.progress.Progress:
    """Return bars with a title, the time that is left, and what is being done; they go when they are ended.

    Args:
        console: on stderr.
        how: further arguments of rich's Progress.
    """
    return rich.progress.Progress(
        rich.progress.TextColumn("{task.fields[title]}", style="bold", markup=False),
        rich.progress.BarColumn(bar_width=20),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeRemainingColumn(elapsed_when_finished=True),
        rich.progress.TextColumn("{task.description}", markup=False),
        console=console,
        transient=True,
        **how,
    )


def say(console: Console, text: str) -> None:
    """Print a line that stays, as it is."""
    console.print(text, markup=False, highlight=False, soft_wrap=True)


class Bars(Silent):
    """A bar with the time that is left for each target.

    Args:
        console: on stderr.
    """

    def __init__(self, console: Console) -> None:
        self._bars = bars(console)
        self._tasks: dict[str, rich.progress.TaskID] = {}

    def target(self, name: str, seconds: float) -> None:
        """Add a bar."""
        self._tasks[name] = self._bars.add_task("", total=seconds, title=name)

    def more(self, name: str, seconds: float) -> None:
        """Make the bar as long as what is done and what is to come."""
        task = self._bars.tasks[self._tasks[name]]
        self._bars.update(task.id, total=max(task.completed, (task.total or 0.0) + seconds))

    def step(self, name: str, text: str) -> None:
        """Change what stands beside the bar."""
        self._bars.update(self._tasks[name], description=Text(text).plain)

    def advance(self, name: str, seconds: float) -> None:
        """Move the bar; a target that needs more than foreseen gets a longer one."""
        task = self._bars.tasks[self._tasks[name]]
        done = task.completed + seconds
        self._bars.update(task.id, completed=done, total=max(task.total or 0.0, done))

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


class Lines(Silent):
    """A line at most every ten seconds, for logs.

    Args:
        console: on stderr.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._totals: dict[str, float] = {}
        self._done: dict[str, float] = {}
        self._last = -EVERY_S

    def target(self, name: str, seconds: float) -> None:
        """Say how long it will take."""
        self._totals[name], self._done[name] = seconds, 0.0
        self._say(f"{name}: about {duration(seconds)} to go")

    def more(self, name: str, seconds: float) -> None:
        """Count it among what is left."""
        self._totals[name] += seconds

    def step(self, name: str, text: str) -> None:
        """Say it, if nothing was said for a while."""
        if time.monotonic() - self._last >= EVERY_S:
            left = max(0.0, self._totals[name] - self._done[name])
            self._say(f"{name}: {text} (about {duration(left)} to go)")

    def advance(self, name: str, seconds: float) -> None:
        """Count it."""
        self._done[name] += seconds

    def _say(self, text: str) -> None:
        say(self._console, text)
        self._last = time.monotonic()


class Outlook:
    """Tells of rounds whose number is not known beforehand, before each pass of them, how many are still to come.

    Args:
        progress: who is told.
        name: of the target.
        each: seconds of a round, as `progress.advance` is told of it.
    """

    def __init__(self, progress: Progress, name: str, each: float) -> None:
        self._progress, self._name, self._each = progress, name, each
        self._said = 0.0

    def before(self, rounds: Sequence[int]) -> None:
        """A pass begins, of one round of each cell that wants some; `rounds` are what each will probably take."""
        left = self._each * sum(rounds)
        self._progress.more(self._name, left - self._said)
        self._said = left - self._each * len(rounds)


def on_stderr() -> Console:
    """Return the console for messages."""
    return Console(stderr=True)


def shown_on(console: Console) -> Progress:
    """Return bars for a terminal, lines for everything else."""
    return Bars(console) if console.is_terminal else Lines(console)
