from __future__ import annotations

import pytest

from reports.headline import headline, sentences
from reports.records import Cell, Key, Metric, Outcome, Run, Trust, Variant, Verdict
from tests.reports.synthetic import QUICK


def variant(name: str, parent: str = "") -> Variant:
    return Variant(name=name, file="f", format="onnx", sha256="0", bytes=1, parent=parent)


def cell(
    name: str,
    p50: float | None,
    auc: float | None = 0.9,
    *,
    target: str = "x86",
    spread: float = 0.01,
    outcome: Outcome = Outcome.OK,
    trust: Trust = Trust.TRUSTED,
) -> Cell:
    """Return a cell whose p50 and AUC reach `spread` to either side."""
    metrics = []
    if p50 is not None:
        metrics.append(_metric("latency_p50", "end_to_end", p50, spread))
    if auc is not None:
        metrics.append(_metric("auc", "all", auc, spread))
    key = Key(variant=name, target=target, runtime="onnxruntime", provider="cpu", threads=1)
    verdict = Verdict(trust=trust, reason="") if p50 is not None else None
    return Cell(id=name, key=key, outcome=outcome, verdict=verdict, metrics=tuple(metrics))


def _metric(name: str, scope: str, value: float, spread: float) -> Metric:
    low, high = value * (1 - spread), value * (1 + spread)
    return Metric(metric=name, scope=scope, unit="", value=value, ci_low=low, ci_high=high, n=100)


@pytest.fixture
def family(run: Run) -> Run:
    """Return a run without cells of big, its child small, and small's child tiny."""
    variants = (variant("big"), variant("small", "big"), variant("tiny", "small"))
    return run.model_copy(update={"variants": variants, "cells": ()})


def said(run: Run, *cells: Cell) -> str:
    return headline(run.model_copy(update={"cells": cells}))


def test_a_gain_is_said_with_what_it_costs(family: Run) -> None:
    found = said(family, cell("big", 1.5, 0.964, spread=0.001), cell("small", 1.1, 0.961, spread=0.001))
    assert found == (
        "small is 1.4 times as fast as big on x86 at 1 thread (p50 1.10 against 1.50 ms) "
        "and loses 0.3 points of AUC (0.961 against 0.964)."
    )


def test_overlapping_intervals_show_no_difference(family: Run) -> None:
    found = said(family, cell("big", 1.5), cell("small", 1.49))
    assert found.startswith("No difference in time is shown between small and big")
    assert "ms); small " in found  # whose accuracy the rest of the sentence is about
    assert "keeps the AUC (0.900 against 0.900; intervals overlap)" in found


def test_without_an_interval_nothing_is_shown(family: Run) -> None:
    bare = cell("small", 1.0)
    stripped = [metric.model_copy(update={"ci_low": None, "ci_high": None}) for metric in bare.metrics]
    found = said(family, cell("big", 2.0), bare.model_copy(update={"metrics": tuple(stripped)}))
    assert found.startswith("No difference in time is shown")


def test_what_became_slower_is_said_too(family: Run) -> None:
    found = said(family, cell("big", 1.0), cell("small", 1.3, 0.92))
    assert found.startswith("small takes 1.3 times as long as big")
    assert "gains 2.0 points" in found


def test_a_cheap_gain_is_preferred_to_a_larger_one_that_ruins_the_accuracy(family: Run) -> None:
    cells = cell("big", 4.0, 0.95), cell("small", 2.0, 0.94), cell("tiny", 1.0, 0.60)
    assert said(family, *cells).startswith("small is 2.0 times as fast as big")
    assert said(family, cells[0], cells[2]).startswith("tiny is 4.0 times as fast as big")  # all there is


def test_the_nearest_ancestor_that_was_measured_is_compared(family: Run) -> None:
    assert "than" not in said(family, cell("big", 4.0), cell("tiny", 1.0))
    assert said(family, cell("big", 4.0), cell("tiny", 1.0)).startswith("tiny is 4.0 times as fast as big")


def test_ancestors_in_a_circle_end(family: Run) -> None:
    circle = family.model_copy(update={"variants": (variant("big", "tiny"), variant("tiny", "big"))})
    assert said(circle, cell("tiny", 1.0)).startswith("tiny takes 1.00 ms a frame")


def test_different_targets_are_never_compared(family: Run) -> None:
    found = said(family, cell("big", 9.0, target="pi4"), cell("small", 1.0, target="x86"))
    assert "times as fast" not in found


def test_emulated_times_are_never_ranked(family: Run) -> None:
    slow = cell("big", 900.0, target="arm64", trust=Trust.EMULATED)
    fast = cell("small", 300.0, target="arm64", trust=Trust.EMULATED)
    assert said(family, slow, fast) == "No time was measured on a real device: emulated times are not ranked."
    assert said(family, slow, fast, cell("big", 2.0)).startswith("big takes 2.00 ms a frame (p50) on x86")


def test_without_a_parent_the_fastest_is_named_or_both(family: Run) -> None:
    strangers = family.model_copy(update={"variants": (variant("a"), variant("b"))})
    assert said(strangers, cell("a", 2.0), cell("b", 1.0)) == (
        "b is the fastest of 2 variants on x86 at 1 thread (p50 1.00 ms, then a 2.00 ms)."
    )
    assert "b and a are the fastest, no difference shown, of 2" in said(strangers, cell("a", 1.001), cell("b", 1.0))


def test_doubtful_times_are_said_to_be_so(family: Run) -> None:
    found = said(family, cell("big", 2.0, trust=Trust.NOISY), cell("small", 1.0, trust=Trust.THROTTLED))
    assert found.endswith("These times are noisy and throttled.")


def test_failures_are_counted_by_outcome_and_a_quick_run_is_said_to_be_one(family: Run) -> None:
    cells = (
        cell("big", 2.0),
        cell("small", None, outcome=Outcome.CRASHED),
        cell("tiny", None, outcome=Outcome.TIMEOUT),
        cell("tiny", None, outcome=Outcome.CRASHED),
    )
    quick = family.model_copy(update={"method": QUICK, "cells": cells})
    first, second, third = sentences(quick)
    assert first.startswith("big takes")
    assert "quick run" in second
    assert third == "3 of 4 cells are not ok: 2 crashed, 1 timeout."


def test_a_failed_cell_is_not_ranked_even_if_it_has_times(family: Run) -> None:
    found = said(family, cell("big", 2.0), cell("small", 1.0, outcome=Outcome.FAILED))
    assert found.startswith("big takes")


def test_nothing_is_said_to_be_nothing(family: Run) -> None:
    assert said(family) == "Nothing was measured."
    assert said(family, cell("big", None, None, outcome=Outcome.LOST)).startswith("Nothing was measured. 1 of 1")
    assert said(family, cell("big", None, 0.91)) == "No time was measured; the best AUC is 0.910, of big."
