"""What a person sees while variants are built: a bar for the step at work, or a line now and then; on stderr."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console

from harness import progress
from model_zoo.building.build import Stage, Watcher
from reports.figures import duration

_NAMES = {"fit": "fitting", "train": "training", "prune": "pruning", "sparsify": "setting weights to zero"}


class BuildProgress(Watcher, Protocol):
    """A watcher that knows how many steps there are, and can be left with its traces removed."""

    def expect(self, steps: int) -> None:
        """So many steps are to be done."""
        ...

    def told(self, text: str) -> None:
        """Say something that stays."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class _Steps:
    """Counts steps and names them; what to do with that is for those who inherit.

    Args:
        console: on stderr.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._of, self._begun = 0, 0
        self._title = ""

    def expect(self, steps: int) -> None:
        """So many steps are to be done."""
        self._of = steps

    def stage(self, stage: Stage) -> None:
        """A step begins."""
        self._begun += 1
        of = f", step {self._begun} of {max(self._of, self._begun)}" if self._of > 1 else ""
        self._begin(f"{stage.recipe.name}: {_NAMES.get(stage.step.do, stage.step.do)}{of}")

    def waiting(self, stage: Stage) -> None:
        """Another build makes the same."""
        self.told(f"{stage.recipe.name}: another build is at work on '{stage.step.do}'; waiting for it")

    def exporting(self, variant: str, kind: str) -> None:
        """A file is written."""
        self._begin(f"{variant}: export to {kind}")

    def told(self, text: str) -> None:
        """Print a line that stays."""
        progress.say(self._console, text)

    def _begin(self, title: str) -> None:
        self._title = title

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to end."""


class Bars(_Steps):
    """One bar, of the step that is at work, with the time that it still needs."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        # Epochs end with a validation, which takes no batches: a shorter look at the speed would be misled.
        self._bars = progress.bars(console, speed_estimate_period=300.0)
        self._task = self._bars.add_task("", total=None, title="", visible=False)
        self._total, self._begun_here = 0.0, False

    def step(self, text: str, total: float) -> None:
        """Begin the bar anew: a step may have several parts."""
        self._bars.reset(self._task, total=total, description=text, visible=True, title=self._title)
        self._total, self._begun_here = total, False

    def advance(self, done: float, text: str = "") -> None:
        """Move the bar."""
        if self._begun_here:
            self._bars.update(self._task, completed=done)
        else:  # what a checkpoint had done already took no time now, and says nothing of what is left
            self._bars.reset(self._task, total=self._total, completed=int(done))
        self._begun_here = True
        if text:
            self._bars.update(self._task, description=text)

    def _begin(self, title: str) -> None:
        super()._begin(title)
        self._bars.reset(self._task, total=None, description="", visible=True, title=title)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()


class Lines(_Steps):
    """A line for each step, and one every ten seconds, for logs."""

    def __init__(self, console: Console) -> None:
        super().__init__(console)
        self._total, self._first, self._last = 0.0, 0.0, time.monotonic()
        self._began, self._text = 0.0, ""

    def step(self, text: str, total: float) -> None:
        """Begin to count; what it is called is said with how far it is."""
        self._total, self._first, self._text = total, -1.0, text

    def advance(self, done: float, text: str = "") -> None:
        """Say how far it is, if nothing was said for a while."""
        now = time.monotonic()
        if self._first < 0:  # what a checkpoint had done already took no time now
            self._first, self._began = done, now
        if now - self._last < progress.EVERY_S or not self._total:
            return
        parts = [f"{100 * done / self._total:.0f} %"]
        if done > self._first:
            left = (self._total - done) * (now - self._began) / (done - self._first)
            parts.append(f"about {duration(max(0.0, left))} to go")
        part = [] if self._text in ("", "training") else [self._text]
        said = ", ".join([*part, *parts, *([text] if text else [])])
        self.told(f"{self._title}: {said}" if self._title else said)

    def told(self, text: str) -> None:
        """Print a line."""
        super().told(text)
        self._last = time.monotonic()

    def _begin(self, title: str) -> None:
        super()._begin(title)
        self.told(title)


def shown_on(console: Console) -> BuildProgress:
    """Return a bar for a terminal, lines for everything else."""
    return Bars(console) if console.is_terminal else Lines(console)
