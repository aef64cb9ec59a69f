"""How often decisions are right: sessions drawn from one pool of real rounds, ours beside the rules of others.

    python -m benchmarks.decisions table benchmarks/pool.csv
    python -m benchmarks.decisions nights benchmarks/pool.csv    480 cells a night, for 60 nights
    python -m benchmarks.decisions cost benchmarks/pool.csv      device-seconds of a decision
    python -m benchmarks.decisions table --normal 0.01       the same for log-normal rounds of 1 % noise, no pool needed

A session is a stretch of the pool, so that its minutes are those of one machine in one state: rounds next to each
other are the candidate's and the baseline's in a shuffled order, as many as the default budget affords, and the
candidate's are made slower by the effect. "Beside" gives every rule those; "apart" takes the baseline's rounds from
another stretch, as who compares with the last run does. `benchmarks/pool.csv` holds the rounds of
`python -m benchmarks.live`; another pool comes of a run of one variant with many rounds:
`python -m benchmarks.decisions pool runs/<id>`. Record while nothing else runs: the pool of a busy machine says how
busy it was.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from harness.config import RunTable
from reports import decide
from reports.records import STAGES, Decision

Floats = NDArray[np.float64]

COLUMNS = ("min_ns", "median_ns", "mean_ns", "p95_ns", "started", "seconds", "tainted")
MIN, MEDIAN, MEAN, _ = range(4)  # of an array of rounds
BUDGET_S: float = RunTable.model_fields["budget_s"].default
ROUND_S = 2.1  # a round of the default setting, its process's start included: of drawn rounds, which took no time
FIXED = 10  # rounds of each side that rules without a stopping rule get
EFFECTS = (0.0, 0.02, 0.05)


def _min_5_percent(mine: Floats, theirs: Floats) -> bool:
    """pytest-benchmark --benchmark-compare-fail=min:5%."""
    return bool(mine[:, MIN].min() > 1.05 * theirs[:, MIN].min())


def _t_test(mine: Floats, theirs: Floats) -> bool:
    """pyperf compare_to: Student's t on the values of its processes, 95 %."""
    slower = mine[:, MEAN].mean() > theirs[:, MEAN].mean()
    return bool(slower and stats.ttest_ind(mine[:, MEAN], theirs[:, MEAN]).pvalue < 0.05)


def _mann_whitney(mine: Floats, theirs: Floats) -> bool:
    """Asv continuous: Mann-Whitney at .002, and a factor of 1.1 between the medians."""
    slower = float(np.median(mine[:, MEDIAN])) > 1.1 * float(np.median(theirs[:, MEDIAN]))
    return bool(slower and stats.mannwhitneyu(mine[:, MEDIAN], theirs[:, MEDIAN]).pvalue < 0.002)


def _mean_5_percent(mine: Floats, theirs: Floats) -> bool:
    """LiteRT's benchmark against the last run: the mean, 5 %."""
    return bool(mine[:, MEAN].mean() > 1.05 * theirs[:, MEAN].mean())


Rule = Callable[[Floats, Floats], bool]
RULES: dict[str, Rule] = {
    "pytest-benchmark, min:5%": _min_5_percent,
    "pyperf, t-test": _t_test,
    "asv, Mann-Whitney, 1.1": _mann_whitney,
    "LiteRT, mean 5 %": _mean_5_percent,
}


Session = tuple[Floats, Floats]  # candidate's and baseline's rounds, in pairs


@dataclass(frozen=True)
class Pool:
    """Rounds [n, 4] in the order of their time, of which sessions are drawn.

    Attributes:
        rounds: the first four of COLUMNS.
        round_s: seconds that one took.
    """

    rounds: Floats
    round_s: float

    @property
    def each(self) -> int:
        """Rounds of each side that the default budget affords, up to the last look."""
        return min(int(BUDGET_S / self.round_s), decide.LOOKS[-1])

    def session(self, draw: np.random.Generator) -> Session:
        """Return a stretch of the pool: rounds next to each other in a shuffled order."""
        start = int(draw.integers(0, len(self.rounds) - 2 * self.each))
        pairs = self.rounds[start : start + 2 * self.each].reshape(self.each, 2, -1)
        first, places = draw.integers(0, 2, self.each), np.arange(self.each)
        return pairs[places, first], pairs[places, 1 - first]


@dataclass(frozen=True)
class Share:
    """How often something happened; the interval is Clopper and Pearson's, 95 %."""

    hits: int
    n: int

    def __str__(self) -> str:
        ends = stats.binomtest(self.hits, self.n).proportion_ci(method="exact")
        return f"{100 * self.hits / self.n:6.2f} % ({100 * ends.low:.2f} to {100 * ends.high:.2f})"


@click.group()
def main() -> None:
    """Record a pool of rounds, and decide on sessions drawn from it."""


@main.command("pool")
@click.argument("run", type=click.Path(path_type=Path, exists=True))
def of_run(run: Path) -> None:
    """Write the rounds of RUN's first cell as CSV: times, when it began, how long it took, why it does not count."""
    cell = json.loads((run / "run.json").read_text())["cells"][0]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(row.values() for row in figures(run, cell))


def figures(run: Path, cell: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what COLUMNS names of each round of a cell that went well."""
    return [_of_round(run, entry) for entry in cell["rounds"] if entry["outcome"] == "ok"]


def _of_round(run: Path, entry: dict[str, Any]) -> dict[str, Any]:
    frames = np.load(run / "frames" / entry["frames"])[entry["warmup"] :, STAGES.index("end_to_end")]
    values = (frames.min(), np.median(frames), frames.mean(), np.percentile(frames, 95))
    times = (round(float(value)) for value in values)
    return dict(zip(COLUMNS, (*times, entry["started"], entry["seconds"], entry["tainted"]), strict=True))


@main.command()
@click.argument("source", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--normal", type=float, help="Noise of drawn log-normal rounds, instead of a pool, e.g. 0.01.")
@click.option("--sessions", default=4000, show_default=True, help="How many of each effect.")
@click.option("--seed", default=0, show_default=True)
def table(source: Path | None, normal: float | None, sessions: int, seed: int) -> None:
    """Print false alarms and what is found, rule by rule."""
    draw = np.random.default_rng(seed)
    pool = _pool(draw, source, normal)
    noise = float(np.std(np.diff(np.log(pool.rounds[:, MEDIAN]))) / math.sqrt(2))
    print(f"{len(pool.rounds)} rounds, noise of a median from one round to the next {noise:.2%};")
    print(f"{sessions} sessions each, of {pool.each} rounds of each side: {BUDGET_S:g} s of {pool.round_s:.2f} s")
    print(f"{'rule':34} {'baseline':8} {'A/A alarms':>26} {'+2 % found':>26} {'+5 % found':>26}")
    for name, where, found in _rows(pool, sessions, draw):
        print(f"{name:34} {where:8} " + " ".join(f"{share!s:>26}" for share in found))
    for effect in EFFECTS[1:]:
        used = [_ours(pool.session(draw), effect).pairs for _ in range(300)]
        print(f"pairs of rounds until +{effect:.0%} is decided, median: {np.median(used):.0f}")


@main.command()
@click.argument("source", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--normal", type=float, help="Noise of drawn log-normal rounds, instead of a pool, e.g. 0.01.")
@click.option("--cells", default=480, show_default=True, help="Compared each night.")
@click.option("--nights", "count", default=60, show_default=True)
@click.option("--seed", default=0, show_default=True)
def nights(source: Path | None, normal: float | None, cells: int, count: int, seed: int) -> None:
    """Print how many nights are red although nothing changed, the second session and Benjamini-Hochberg included."""
    draw = np.random.default_rng(seed)
    pool = _pool(draw, source, normal)
    flagged, red = zip(*(_night(pool, draw, cells) for _ in range(count)), strict=True)
    share = Share(sum(flagged), count * cells)
    print(f"{count} nights of {cells} cells, nothing changed: {sum(flagged)} flagged by the first session, {share};")
    print(f"{sum(red)} red after the second; {sum(night > 0 for night in red)} of {count} nights red")


def _night(pool: Pool, draw: np.random.Generator, cells: int) -> tuple[int, int]:
    """Return how many cells of a night are flagged, and how many of them the second session confirms."""
    again = decide.Rule(alarm=decide.RED)
    first = [_ours(pool.session(draw), 0.0).decision is Decision.REGRESSION for _ in range(cells)]
    second = [_ours(pool.session(draw), 0.0, again) for _ in range(sum(first))]
    adjusted = decide.adjusted([found.p if found.p is not None else 1.0 for found in second])
    red = [found.decision is Decision.REGRESSION and p <= decide.RED for found, p in zip(second, adjusted, strict=True)]
    return sum(first), sum(red)


@main.command()
@click.argument("source", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--normal", type=float, help="Noise of drawn log-normal rounds, instead of a pool, e.g. 0.01.")
@click.option("--sessions", default=2000, show_default=True)
@click.option("--seed", default=0, show_default=True)
def cost(source: Path | None, normal: float | None, sessions: int, seed: int) -> None:
    """Print the device-seconds that a decision on 5 % takes, and how often it is right.

    Of MLPerf Mobile and LiteRT the lengths are theirs (1,024 frames and 60 s, after 300 s of cooling; 50 runs and 1 s);
    neither says how two results are compared, so that 5 % between the two means is what most people do with them.
    """
    draw = np.random.default_rng(seed)
    pool = _pool(draw, source, normal)
    found = [_ours(pool.session(draw), 0.05) for _ in range(sessions)]
    seconds = [2 * pool.round_s * one.pairs for one in found]
    hits = Share(sum(one.decision is Decision.REGRESSION for one in found), sessions)
    alarms = Share(
        sum(_ours(pool.session(draw), 0.0).decision is Decision.REGRESSION for _ in range(sessions)), sessions
    )
    print(f"{'how':46} {'device-seconds':>16} {'+5 % found':>26} {'A/A alarms':>26}")
    spent = f"{np.median(seconds):.0f} (99 %: {np.quantile(seconds, 0.99):.0f})"
    print(f"{'edgerig, one session':46} {spent:>16} {hits!s:>26} {alarms!s:>26}")
    for name, length, pause, used in (
        ("MLPerf Mobile: 1,024 frames, 60 s, cooling", 60, 300, pool.each),
        ("LiteRT: 50 runs, 1 s", 1, 0, 1),
    ):
        shares = [Share(sum(_once(pool, draw, e, used) for _ in range(sessions)), sessions) for e in (0.05, 0.0)]
        print(f"{name:46} {2 * (length + pause):>16} {shares[0]!s:>26} {shares[1]!s:>26}")


def _once(pool: Pool, draw: np.random.Generator, effect: float, used: int) -> bool:
    """Return whether two results, each the mean of so many rounds on end from a session of its own, differ by 5 %."""
    mine, theirs = (pool.session(draw)[0][:used, MEAN].mean() for _ in range(2))
    return bool((1 + effect) * mine > 1.05 * theirs)


def _pool(draw: np.random.Generator, source: Path | None, normal: float | None) -> Pool:
    found = _drawn(draw, normal) if normal else _read(source)
    if len(found.rounds) < 8 * found.each:
        raise click.UsageError(f"a pool of {len(found.rounds)} rounds is too small: {8 * found.each} at least")
    return found


def _read(source: Path | None) -> Pool:
    if source is None:
        raise click.UsageError("name a pool, or --normal NOISE")
    with source.open(newline="") as stream:
        lines = csv.DictReader(stream)
        if missing := [name for name in COLUMNS if name not in (lines.fieldnames or ())]:
            raise click.UsageError(f"{source} has no column {missing[0]}: `pool RUN` writes such a file")
        rows = [row for row in lines if not row["tainted"]]
    seconds = float(np.mean([float(row["seconds"]) for row in rows] or [ROUND_S]))
    return Pool(np.array([[float(row[name]) for name in COLUMNS[:4]] for row in rows]), seconds)


def _drawn(draw: np.random.Generator, noise: float) -> Pool:
    """Return rounds of 2 ms with independent noise and none between sessions: the best case for every rule."""
    medians = 2e6 * np.exp(draw.normal(0, noise, 20_000))
    return Pool(np.column_stack([0.97 * medians, medians, 1.02 * medians, 1.2 * medians]), ROUND_S)


def _ours(session: Session, effect: float, rule: decide.Rule | None = None) -> decide.Decided:
    mine, theirs = session
    return decide.decide((1 + effect) * mine[:, MEDIAN] / theirs[:, MEDIAN], rule)


def _confirmed(pool: Pool, draw: np.random.Generator, effect: float) -> bool:
    again = decide.Rule(alarm=decide.RED)
    first = _ours(pool.session(draw), effect).decision is Decision.REGRESSION
    return first and _ours(pool.session(draw), effect, again).decision is Decision.REGRESSION


def _rows(pool: Pool, sessions: int, draw: np.random.Generator) -> Iterator[tuple[str, str, list[Share]]]:
    yield (
        "edgerig, first session",
        "beside",
        [
            Share(sum(_ours(pool.session(draw), e).decision is Decision.REGRESSION for _ in range(sessions)), sessions)
            for e in EFFECTS
        ],
    )
    yield (
        "edgerig, confirmed (red)",
        "beside",
        [Share(sum(_confirmed(pool, draw, effect) for _ in range(sessions)), sessions) for effect in EFFECTS],
    )
    for name, rule in RULES.items():
        for where in ("beside", "apart"):
            found = [sum(_other(pool, draw, rule, e, where) for _ in range(sessions)) for e in EFFECTS]
            yield name, where, [Share(hits, sessions) for hits in found]


def _other(pool: Pool, draw: np.random.Generator, rule: Rule, effect: float, where: str) -> bool:
    mine, theirs = pool.session(draw)
    if where == "apart":
        theirs = pool.session(draw)[1]
    return rule((1 + effect) * mine[:FIXED], theirs[:FIXED])


if __name__ == "__main__":
    main()
