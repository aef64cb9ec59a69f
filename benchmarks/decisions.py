"""How often decisions are right: sessions drawn from one pool of real rounds, ours beside the rules of others.

    edgerig run --variants mobilenetv3-small-int8 --rounds 2000 --budget 100000    # about 70 minutes
    python -m benchmarks.decisions pool runs/<id> > benchmarks/pool.csv
    python -m benchmarks.decisions table benchmarks/pool.csv
    python -m benchmarks.decisions table --normal 0.01       the same for log-normal rounds of 1 % noise, no pool needed

A session is a stretch of the pool, so that its minutes are those of one machine in one state: rounds next to each
other are the candidate's and the baseline's in a shuffled order, and the candidate's are made slower by the effect.
"Beside" gives every rule those; "apart" takes the baseline's rounds from another stretch, as who compares with the
last run does. The pool of a busy machine says how busy it was: record it while nothing else runs.
"""

from __future__ import annotations

import csv
import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from scipy import stats

from reports import decide
from reports.records import STAGES, Decision

Floats = NDArray[np.float64]

COLUMNS = ("min_ns", "median_ns", "mean_ns", "p95_ns")
MIN, MEDIAN, MEAN, _ = range(len(COLUMNS))
ROUNDS = 28  # of each side that the default budget of 60 s affords
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


@main.command()
@click.argument("run", type=click.Path(path_type=Path, exists=True))
def pool(run: Path) -> None:
    """Write the rounds of RUN's first cell as CSV: minimum, median, mean and 95th percentile of each."""
    cell = json.loads((run / "run.json").read_text())["cells"][0]
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for entry in cell["rounds"]:
        if entry["outcome"] == "ok":
            frames = np.load(run / "frames" / entry["frames"])[entry["warmup"] :, STAGES.index("end_to_end")]
            values = (frames.min(), np.median(frames), frames.mean(), np.percentile(frames, 95))
            writer.writerow([round(float(value)) for value in values])


@main.command()
@click.argument("source", required=False, type=click.Path(path_type=Path, exists=True))
@click.option("--normal", type=float, help="Noise of drawn log-normal rounds, instead of a pool, e.g. 0.01.")
@click.option("--sessions", default=4000, show_default=True, help="How many of each effect.")
@click.option("--seed", default=0, show_default=True)
def table(source: Path | None, normal: float | None, sessions: int, seed: int) -> None:
    """Print false alarms and what is found, rule by rule."""
    draw = np.random.default_rng(seed)
    rounds = _drawn(draw, normal) if normal else _read(source)
    if len(rounds) < 8 * ROUNDS:
        raise click.UsageError(f"a pool of {len(rounds)} rounds is too small: {8 * ROUNDS} at least")
    noise = float(np.std(np.diff(np.log(rounds[:, MEDIAN]))) / math.sqrt(2))
    print(f"{len(rounds)} rounds, noise of a median from one round to the next {noise:.2%}; {sessions} sessions each")
    print(f"{'rule':34} {'baseline':8} {'A/A alarms':>26} {'+2 % found':>26} {'+5 % found':>26}")
    for name, where, found in _rows(rounds, sessions, draw):
        print(f"{name:34} {where:8} " + " ".join(f"{share!s:>26}" for share in found))
    for effect in EFFECTS[1:]:
        used = [_ours(_session(rounds, draw), effect).pairs for _ in range(300)]
        print(f"pairs of rounds until +{effect:.0%} is decided, median: {np.median(used):.0f}")


def _read(source: Path | None) -> Floats:
    if source is None:
        raise click.UsageError("name a pool, or --normal NOISE")
    return np.loadtxt(source, delimiter=",", skiprows=1, dtype=np.float64)


def _drawn(draw: np.random.Generator, noise: float) -> Floats:
    """Return rounds of 2 ms with independent noise and none between sessions: the best case for every rule."""
    medians = 2e6 * np.exp(draw.normal(0, noise, 20_000))
    return np.column_stack([0.97 * medians, medians, 1.02 * medians, 1.2 * medians])


Session = tuple[Floats, Floats]  # candidate's and baseline's rounds, in pairs


def _session(rounds: Floats, draw: np.random.Generator) -> Session:
    start = int(draw.integers(0, len(rounds) - 2 * ROUNDS))
    pairs = rounds[start : start + 2 * ROUNDS].reshape(ROUNDS, 2, -1)
    first = draw.integers(0, 2, ROUNDS)
    places = np.arange(ROUNDS)
    return pairs[places, first], pairs[places, 1 - first]


def _ours(session: Session, effect: float, rule: decide.Rule | None = None) -> decide.Decided:
    mine, theirs = session
    return decide.decide((1 + effect) * mine[:, MEDIAN] / theirs[:, MEDIAN], rule)


def _confirmed(rounds: Floats, draw: np.random.Generator, effect: float) -> bool:
    again = decide.Rule(alarm=decide.RED)
    first = _ours(_session(rounds, draw), effect).decision is Decision.REGRESSION
    return first and _ours(_session(rounds, draw), effect, again).decision is Decision.REGRESSION


def _rows(rounds: Floats, sessions: int, draw: np.random.Generator) -> Iterator[tuple[str, str, list[Share]]]:
    yield (
        "edgerig, first session",
        "beside",
        [
            Share(
                sum(_ours(_session(rounds, draw), e).decision is Decision.REGRESSION for _ in range(sessions)), sessions
            )
            for e in EFFECTS
        ],
    )
    yield (
        "edgerig, confirmed (red)",
        "beside",
        [Share(sum(_confirmed(rounds, draw, effect) for _ in range(sessions)), sessions) for effect in EFFECTS],
    )
    for name, rule in RULES.items():
        for where in ("beside", "apart"):
            found = [sum(_other(rounds, draw, rule, e, where) for _ in range(sessions)) for e in EFFECTS]
            yield name, where, [Share(hits, sessions) for hits in found]


def _other(rounds: Floats, draw: np.random.Generator, rule: Rule, effect: float, where: str) -> bool:
    mine, theirs = _session(rounds, draw)
    if where == "apart":
        theirs = _session(rounds, draw)[1]
    return rule((1 + effect) * mine[:FIXED], theirs[:FIXED])


if __name__ == "__main__":
    main()
