from __future__ import annotations

import numpy as np
import pytest

from reports import instructions
from reports.collate import Measured, collate
from reports.records import STAGES, Key, Metric
from tests.reports.synthetic import METHOD, a_round

KEY = Key(variant="int8", target="machine", runtime="onnxruntime", provider="cpu", threads=1)


def frames(inference: list[int], more: int = 1000) -> np.ndarray:
    table = np.full((len(inference), len(STAGES)), -1, np.int64)
    table[:, STAGES.index("inference")] = inference
    table[:, STAGES.index("end_to_end")] = np.asarray(inference) + more
    return table


def found(metrics: tuple[Metric, ...]) -> dict[tuple[str, str], Metric]:
    return {(metric.metric, metric.scope): metric for metric in metrics}


def test_the_median_of_all_frames_that_count_is_given_with_their_spread() -> None:
    one, two = a_round(1, warmup=2), a_round(2, warmup=0)
    measured = {1: frames([9_000_000, 9_000_000, 100, 102, 104]), 2: frames([101, 103, 105, 999])}
    metrics = found(instructions.metrics([one, two], measured))
    pooled = [100, 102, 104, 101, 103, 105, 999]
    inference = metrics["instructions", "inference"]
    assert (inference.value, inference.n, inference.unit) == (np.median(pooled), 7, "instructions")
    assert inference.lower_is_better
    assert inference.value is not None
    assert (inference.ci_low or 0) <= inference.value <= (inference.ci_high or 0)
    assert metrics["instructions_iqr", "inference"].value == np.subtract(*np.percentile(pooled, (75, 25)))
    assert metrics["instructions_max", "inference"].value == 999
    assert metrics["instructions", "end_to_end"].value == 1000 + np.median(pooled)


def test_one_round_has_no_interval() -> None:
    metric = found(instructions.metrics([a_round(1, warmup=0)], {1: frames([5, 6, 7])}))["instructions", "inference"]
    assert (metric.value, metric.ci_low, metric.ci_high) == (6, None, None)


def test_a_round_without_frames_counts_nothing() -> None:
    assert instructions.metrics([a_round(1, warmup=3)], {1: frames([5, 6, 7])}) == ()
    assert instructions.metrics([a_round(1)], {}) == ()


@pytest.mark.parametrize("counts", [True, False])
def test_only_a_clock_that_counts_gives_instructions(counts: bool) -> None:
    measured = Measured([a_round(1, warmup=0)], {1: frames([5_000_000] * 8)}, counts_instructions=counts)
    cell = collate(KEY, measured, METHOD, emulated=True)
    assert cell.value("instructions", "inference") == (5_000_000 if counts else None)
    assert instructions.millions(cell, "inference") == ("5.0000" if counts else "–")
    assert instructions.spread(cell) == ("0 %" if counts else "")
    assert cell.value("latency_p50", "inference") == 5  # ms, and marked as an emulator's
