"""The choice without budgets: the fastest that loses no more AUC than allowed, or what would decide."""

from __future__ import annotations

from functools import cache

from reports import within
from reports.collate import Measured, collate
from reports.records import Key, Metric, Run
from tests.reports.synthetic import METHOD, QUICK, a_round, a_run, times


def drawn(*cells: tuple[str, str, float, float | None], spread: float = 0.002) -> Run:
    """Return a run on x86 of variants: name, parent, ms, and loss of AUC with an interval of .004 each way."""
    run = _base()
    variants = tuple(run.variants[0].model_copy(update={"name": name, "parent": parent}) for name, parent, *_ in cells)
    found = []
    for place, (name, _, ms, drop) in enumerate(cells):
        key = Key(variant=name, target="x86", runtime="onnxruntime", provider="cpu", threads=1)
        frames = {at: times(ms * (1 + spread * ((at * (7 + place)) % 5 - 2)), 64, seed=at) for at in range(6)}
        cell = collate(
            key, Measured([a_round(at, frames=f"{at}.npy") for at in frames], frames), METHOD, emulated=False
        )
        lost = () if drop is None else (_of("auc_drop", drop),)
        known = (*cell.metrics, _of("auc", 0.95 - (drop or 0.0)), *lost)
        found.append(cell.model_copy(update={"metrics": known}))
    return run.model_copy(update={"variants": variants, "targets": run.targets[:1], "cells": tuple(found)})


@cache
def _base() -> Run:
    return a_run()[0]


def _of(name: str, value: float) -> Metric:
    ends = {"ci_low": value - 0.004, "ci_high": value + 0.004}
    return Metric(metric=name, scope="all", unit="1", value=value, n=400, lower_is_better=name == "auc_drop", **ends)


LADDER = (("net", "", 2.0, None), ("int8", "net", 1.0, 0.03), ("mixed", "net", 1.4, 0.003), ("fp16", "net", 2.4, 0.0))


def test_the_fastest_within_the_bound_is_chosen_and_says_what_it_loses() -> None:
    run = drawn(*LADDER)
    found = within.choose(run, "x86", 0.01)
    assert (found.verdict, run.cell(found.cell).key.variant) == ("chosen", "mixed")
    assert found.reason == "the best of 3 by p50_ms; auc_drop 0.0030 (-0.0010 to 0.0070), at most 0.01"
    assert found.next_step == ""
    assert [run.cell(left.cell).key.variant for left in found.left_out] == ["int8"]
    assert found.left_out[0].reason.startswith("auc_drop 0.0300 (0.0260 to 0.0340), at most 0.01")


def test_another_bound_is_another_choice() -> None:
    run = drawn(*LADDER)
    chosen = {most: run.cell(within.choose(run, "x86", most).cell).key.variant for most in (0.0, 0.01, 0.03)}
    assert chosen == {0.0: "net", 0.01: "mixed", 0.03: "int8"}


def test_a_bound_that_is_not_shown_to_be_kept_says_what_would_show_it() -> None:
    run = drawn(("net", "", 2.0, None), ("int8", "net", 1.0, 0.008))
    found = within.choose(run, "x86", 0.01)
    assert run.cell(found.cell).key.variant == "int8"
    assert found.reason.endswith("at most 0.01: the interval straddles the limit")
    assert found.next_step == "about 1,600 faces instead of 400"


def test_what_is_not_told_apart_stays_undecided() -> None:
    run = drawn(("net", "", 2.0, None), ("one", "net", 1.0, 0.0), ("other", "net", 1.001, 0.0), spread=0.01)
    found = within.choose(run, "x86", 0.01)
    assert found.verdict == "undecided"
    assert {run.cell(name).key.variant for name in found.between} == {"one", "other"}
    assert "--rounds" in found.next_step or "--rank" in found.next_step


def test_the_model_itself_has_nothing_to_lose() -> None:
    run = drawn(("net", "", 1.0, None), ("int8", "net", 2.0, 0.0))
    found = within.choose(run, "x86", 0.01)
    assert (run.cell(found.cell).key.variant, found.reason) == ("net", "the best of 2 by p50_ms")


def test_a_quick_run_chooses_nothing() -> None:
    run = drawn(*LADDER)
    quick = tuple(
        collate(
            cell.key, Measured(cell.rounds, {entry.number: times(2.0) for entry in cell.rounds}), QUICK, emulated=False
        )
        for cell in run.cells
    )
    found = within.choose(run.model_copy(update={"cells": quick}), "x86", 0.01)
    assert (found.verdict, found.next_step) == ("none", "run again without --quick")
