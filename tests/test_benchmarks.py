"""The benchmark of decisions runs, on drawn rounds and on a recorded pool."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from click.testing import CliRunner

from benchmarks import decisions


def test_the_table_of_decisions_is_printed_for_a_recorded_pool(tmp_path: Path) -> None:
    medians = 2e6 * np.exp(np.random.default_rng(0).normal(0, 0.003, 300))
    rows = np.column_stack([medians * factor for factor in (0.97, 1.0, 1.02, 1.2)])
    np.savetxt(tmp_path / "pool.csv", rows, delimiter=",", header=",".join(decisions.COLUMNS), comments="")
    done = CliRunner().invoke(decisions.main, ["table", str(tmp_path / "pool.csv"), "--sessions", "3"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("300 rounds, noise of a median from one round to the next 0.")
    ours = next(line for line in done.output.splitlines() if line.startswith("edgerig, first session"))
    assert ours.count("100.00 % (") == 2
    assert "pairs of rounds until +5% is decided" in done.output


def test_a_pool_that_is_too_small_is_refused() -> None:
    done = CliRunner().invoke(decisions.main, ["table"])
    assert done.exit_code == 2
    assert "--normal NOISE" in done.output
