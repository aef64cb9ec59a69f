"""Figures of other tools, measured on the same device in the same session, beside ours: never mixed with them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from reports import figures
from reports.records import Cell, Outcome, Peer, Run

_TO_MS = {"us": 1e-3, "ms": 1.0, "s": 1e3}
AVERAGE = "inference avg"  # what compares with the mean of our inference stage


@dataclass(frozen=True)
class Beside:
    """What a tool measured of a model, and the cells in which we measured the same one."""

    target: str
    variant: str
    threads: int
    emulated: bool
    peer: Peer
    cells: tuple[Cell, ...]

    def ms(self, figure: str) -> float | None:
        """Return a time of theirs in ms, None where the tool did not print it."""
        found = next((entry for entry in self.peer.figures if entry.figure == figure), None)
        return found.value * _TO_MS[found.unit] if found and found.unit in _TO_MS else None

    @property
    def ours(self) -> list[tuple[str, float]]:
        """Our mean inference times in ms, by runtime."""
        return [
            (f"{cell.key.runtime} {cell.key.provider}", mean)
            for cell in self.cells
            if (mean := cell.value("latency_mean", "inference")) is not None
        ]


def beside(run: Run) -> list[Beside]:
    """Return what other tools measured, each run of one once."""
    emulated = {target.name: target.emulated for target in run.targets}
    found: dict[tuple[str, str, int], list[Cell]] = {}
    for cell in run.cells:
        if cell.peers:
            found.setdefault((cell.key.target, cell.key.variant, cell.key.threads), []).append(cell)
    return [
        Beside(*key, emulated=emulated.get(key[0], False), peer=peer, cells=tuple(cells))
        for key, cells in found.items()
        for peer in cells[0].peers
    ]


def sentences(run: Run) -> Iterator[str]:
    """Yield a line for each run of another tool."""
    for entry in beside(run):
        plural = "" if entry.threads == 1 else "s"
        what = f"{entry.peer.tool} with {entry.variant} on {entry.target}, {entry.threads} thread{plural}"
        what += " (emulated)" if entry.emulated else ""
        if entry.peer.outcome is not Outcome.OK:
            yield f"{what}: {entry.peer.outcome}, {entry.peer.reason}"
            continue
        ours = "; ".join(f"ours, {name}: {figures.number(mean)} ms" for name, mean in entry.ours)
        yield f"{what}: {figures.number(entry.ms(AVERAGE))} ms an inference by its own clock{ours and '; '}{ours}"
