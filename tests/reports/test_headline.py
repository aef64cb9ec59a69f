from __future__ import annotations

import random

import pytest

from reports import budgets, choice
from reports.ground import Ground
from reports.headline import headline, sentences, timed
from reports.records import BudgetCheck, Cell, Judgement, Key, Metric, Outcome, Run, Trust, Variant, Verdict
from tests.reports.synthetic import QUICK, a_round
from tests.reports.test_choice import noisy, small


def variant(name: str, parent: str = "") -> Variant:
    return Variant(name=name, file="f", format="onnx", sha256="0", bytes=1, parent=parent)


def cell(
    name: str,
    p50: float | None,
    auc: float | None = 0.9,
    *,
    target: str = "x86",
    runtime: str = "onnxruntime",
    threads: int = 1,
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
    key = Key(variant=name, target=target, runtime=runtime, provider="cpu", threads=threads)
    verdict = Verdict(trust=trust, reason="") if p50 is not None else None
    return Cell(
        id=f"{name}-{target}-{runtime}-{threads}", key=key, outcome=outcome, verdict=verdict, metrics=tuple(metrics)
    )


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
    assert found.endswith(" ms). small keeps the AUC (0.900 against 0.900; intervals overlap).")


def test_without_an_interval_nothing_is_shown(family: Run) -> None:
    bare = cell("small", 1.0)
    stripped = [metric.model_copy(update={"ci_low": None, "ci_high": None}) for metric in bare.metrics]
    found = said(family, cell("big", 2.0), bare.model_copy(update={"metrics": tuple(stripped)}))
    assert found.startswith("No difference in time is shown")


def test_a_slower_one_that_is_better_by_more_than_can_be_afforded_is_chosen(family: Run) -> None:
    found = said(family, cell("big", 1.0, 0.90), cell("small", 1.3, 0.93))
    assert found.startswith("small takes 1.3 times as long as big")
    assert found.endswith("gains 3.0 points of AUC (0.930 against 0.900).")  # that big is faster has been said


def test_the_fastest_may_be_the_parent(family: Run) -> None:
    found = said(family, cell("big", 1.0, 0.92), cell("small", 1.3, 0.90))
    assert found == "big is the fastest of 2 variants on x86 at 1 thread (p50 1.00 ms, AUC 0.920, then small 1.30 ms)."


def test_a_cheap_gain_is_preferred_to_a_larger_one_that_ruins_the_accuracy(family: Run) -> None:
    cells = cell("big", 4.0, 0.95), cell("small", 2.0, 0.94), cell("tiny", 1.0, 0.60)
    first, second = sentences(family.model_copy(update={"cells": cells}))
    assert first.startswith("small, the fastest within 2 points of the best AUC, is 2.0 times as fast as big on x86")
    assert second == "Faster: tiny, p50 1.00 ms, which loses 35.0 points of AUC (0.600 against 0.950)."
    two = said(family, cells[0], cells[2])
    assert two.startswith(
        "big is the fastest within 2 points of the best AUC on x86 at 1 thread (p50 4.00 ms, AUC 0.950)."
    )


def test_a_budget_on_the_auc_says_what_may_be_lost_instead_of_two_points(family: Run) -> None:
    cells = cell("big", 4.0, 0.95, spread=0.001), cell("small", 2.0, 0.90, spread=0.001)
    free = family.model_copy(update={"cells": cells})
    limited = free.model_copy(update={"budgets": budgets.checks(free, {"x86": {"auc": 0.85}})})
    for run, found in ((free, "big"), (limited, "small")):
        assert headline(run).startswith(found)
        assert run.cell(choice.choose(run, "x86").cell).key.variant == found


def test_all_runtimes_of_a_target_are_chosen_among_and_named(family: Run) -> None:
    cells = (
        cell("big", 4.0, 0.95),
        cell("small", 2.0, 0.94),
        cell("tiny", 1.0, 0.945, runtime="tflite"),
        cell("small", 3.0, 0.94, runtime="openvino"),
    )
    assert said(family, *cells) == (
        "tiny (tflite), the fastest of 4 cells, is 2.0 times as fast as small (onnxruntime) on x86 at 1 thread "
        "(p50 1.00 against 2.00 ms) and gains 0.5 points of AUC (0.945 against 0.940; intervals overlap)."
    )


def test_a_parent_is_taken_from_the_same_setting_where_it_is_there(family: Run) -> None:
    cells = [cell(name, ms / n, threads=n) for n in (1, 4) for name, ms in (("big", 4.0), ("small", 2.0))]
    assert said(family, *cells).startswith(
        "small, the fastest of 4 cells, is 2.0 times as fast as big on x86 at 4 threads (p50"
    )
    assert "as fast as big (1 thread) on x86" in said(family, cells[0], *cells[3:])


def test_where_several_are_not_told_apart_all_are_named_and_what_one_gains(family: Run) -> None:
    cells = cell("big", 4.0, 0.95), cell("small", 2.0, 0.94), cell("tiny", 2.01, 0.945)
    assert said(family, *cells) == (
        "No difference in time is shown between small and tiny, the fastest of 3 variants, on x86 at 1 thread "
        "(p50 2.00 and 2.01 ms). small is 2.0 times as fast as big (p50 4.00 ms) and loses 1.0 points of AUC "
        "(0.940 against 0.950; intervals overlap)."
    )
    many = [cell("tiny", 2.0 + n / 1000, 0.945, threads=n) for n in range(1, 6)]
    told = (
        "between tiny (1 thread), tiny (2 threads), tiny (3 threads) and 2 more on x86 (p50 2.00 to 2.00 ms, AUC 0.945"
    )
    assert told in said(family, *many)


def test_each_target_has_its_own_finding(family: Run) -> None:
    cells = [cell(name, ms, target=on) for on, ms in (("x86", 1.0), ("pi4", 9.0)) for name in ("big", "tiny")]
    cells[3] = cell("tiny", 3.0, target="pi4")
    first, cost, second = sentences(family.model_copy(update={"cells": tuple(cells)}))
    assert first.startswith("No difference in time is shown between tiny and big on x86")
    assert cost.startswith("tiny keeps the AUC")
    assert second.startswith("tiny is 3.0 times as fast as big on pi4")


def test_what_breaks_a_budget_is_not_chosen_and_what_is_faster_is_said_to_be_left_out(family: Run) -> None:
    cells = cell("big", 4.0, 0.95), cell("small", 2.0, 0.94), cell("tiny", 1.0, 0.94)
    drawn = family.model_copy(update={"cells": cells})
    found = headline(drawn.model_copy(update={"budgets": (broken(cells[2]),)}))
    assert found.startswith("small, the fastest of 2 variants that meet all budgets, is 2.0 times as fast as big")
    assert "Faster: tiny, p50 1.00 ms, left out: peak_mb broken." in found
    all_broken = headline(drawn.model_copy(update={"budgets": tuple(map(broken, cells))}))
    assert "tiny, the fastest of 3 variants, is 2.0 times as fast as small" in all_broken
    assert "No cell on x86 is known to meet all budgets." in all_broken


def broken(of: Cell) -> BudgetCheck:
    known = {"cell": of.id, "budget": "peak_mb", "unit": "MiB", "limit": 1.0, "at_most": True, "value": 2.0}
    return BudgetCheck.model_validate({**known, "verdict": Judgement.BROKEN})


def test_what_the_choice_tells_apart_by_its_pairs_the_headline_does_too(run: Run) -> None:
    few = small(run, noisy(1.03, 0.003))  # intervals overlap, ratios of rounds do not
    assert choice.choose(few, "x86").verdict == "chosen"
    assert " times as fast as mobilenetv3-small-fp32 on x86" in headline(few)
    apart = small(run, noisy(1.01, 0.03))
    assert choice.choose(apart, "x86").verdict == "undecided"
    assert headline(apart).startswith("No difference in time is shown between ")


def test_headline_and_choice_are_never_at_odds(family: Run) -> None:
    draw, seen = random.Random(1), set()
    for _ in range(150):
        cells = [
            drawn(draw, name, runtime) for name in ("big", "small", "tiny") for runtime in ("onnxruntime", "tflite")
        ]
        run = family.model_copy(update={"cells": tuple(cells)})
        ground = Ground(run, "x86", tuple(timed(run)))
        picked, said = choice.choose(run, "x86"), sentences(run)
        none_leads = "No difference in time is shown between "
        if picked.verdict == "chosen":  # and may be no faster than the one that it was made of, which loses more
            assert [cell.id for cell in ground.leaders] == [picked.cell]
            assert said[0].removeprefix(none_leads).startswith(run.cell(picked.cell).key.variant)
        else:
            assert {cell.id for cell in ground.leaders} == set(picked.between)
            assert said[0].startswith(none_leads)
        seen.add((picked.verdict, bool(picked.left_out)))
    assert len(seen) == 4


def drawn(draw: random.Random, name: str, runtime: str) -> Cell:
    """Return a cell with a drawn time, AUC and noise."""
    p50, auc = draw.choice([1.0, 1.01, 2.0]), draw.choice([0.90, 0.93, 0.95])
    made = cell(name, p50, auc, runtime=runtime, spread=draw.choice([0.001, 0.03]))
    rounds = tuple(a_round(number, p50_ms=p50 * draw.gauss(1, 0.004)) for number in range(1, 7))
    return made.model_copy(update={"rounds": rounds})


# --- nothing learned ---


def test_a_variant_that_learned_nothing_is_no_candidate(family: Run) -> None:
    cells = cell("big", 4.0, 0.95), cell("small", 2.0, 0.94), cell("tiny", 0.1, 0.50)
    found = said(family, *cells)
    assert found.startswith("small, the fastest of 2 variants, is 2.0 times as fast as big")
    assert found.endswith("1 of 3 variants is not shown to tell fakes from real faces.")
    assert "tiny" not in found


@pytest.mark.parametrize(("auc", "spread"), [(0.52, 0.06), (0.54, None), (0.30, 0.01)])
def test_where_none_learned_anything_only_times_and_sizes_are_told(
    family: Run, auc: float, spread: float | None
) -> None:
    def of(name: str, p50: float, auc: float) -> Cell:
        made = cell(name, p50, auc, spread=spread or 0.01)
        plain = {"ci_low": None, "ci_high": None} if spread is None else {}
        metrics = [m.model_copy(update=plain) if m.metric == "auc" else m for m in made.metrics]
        return made.model_copy(update={"metrics": tuple(metrics)})

    sized = tuple(v.model_copy(update={"bytes": n * 1_000_000}) for n, v in enumerate(family.variants, 1))
    found = said(family.model_copy(update={"variants": sized}), of("big", 4.0, auc), of("small", 1.0, auc - 0.01))
    assert found.startswith("No variant is shown to tell fakes from real faces on x86: the best AUC is 0.")
    alone = "By time and size alone, small is the fastest on x86 at 1 thread (p50 1.00 ms), and big the smallest"
    assert found.endswith(f"of big. {alone} (1.00 MB).")
    assert "times as fast" not in found
    assert choice.choose(family.model_copy(update={"cells": (of("big", 4.0, auc),)}), "x86").verdict == "none"


def test_an_auc_without_an_interval_counts_from_55_hundredths_on(family: Run) -> None:
    made = cell("big", 2.0, 0.56)
    bare = [m.model_copy(update={"ci_low": None, "ci_high": None}) for m in made.metrics]
    found = said(family, made.model_copy(update={"metrics": tuple(bare)}))
    assert found == "big takes 2.00 ms a frame (p50) on x86 at 1 thread with an AUC of 0.560."


def test_scores_without_times_are_said_to_be_of_chance_where_they_are(family: Run) -> None:
    found = said(family, cell("big", None, 0.50))
    assert found.endswith("of big, which is not shown to tell fakes from real faces.")


# --- what is compared ---


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
        "b is the fastest of 2 variants on x86 at 1 thread (p50 1.00 ms, AUC 0.900, then a 2.00 ms)."
    )
    undecided = said(strangers, cell("a", 1.001), cell("b", 1.0))
    assert undecided == "No difference in time is shown between b and a on x86 at 1 thread (p50 1.00 and 1.00 ms)."


def test_without_a_parent_the_best_is_what_the_fastest_is_held_against(family: Run) -> None:
    strangers = family.model_copy(update={"variants": (variant("a"), variant("b"))})
    assert said(strangers, cell("a", 2.0, 0.91), cell("b", 1.0, 0.90)).startswith("b is 2.0 times as fast as a")


def test_doubtful_times_are_said_to_be_so(family: Run) -> None:
    doubtful = cell("big", 2.0, trust=Trust.NOISY), cell("small", 1.0, trust=Trust.UNWATCHED)
    assert said(family, *doubtful).endswith("These times are noisy and unwatched.")
    slowed = said(family, doubtful[0], cell("small", 1.0, trust=Trust.THROTTLED))
    assert slowed.startswith("big, the only candidate, takes 2.00 ms a frame")
    assert slowed.endswith("These times are noisy. Faster: small, p50 1.00 ms, left out: throttled.")
    all_slowed = [cell(name, ms, trust=Trust.THROTTLED) for name, ms in (("big", 2.0), ("small", 1.0))]
    assert said(family, *all_slowed).endswith("These times are throttled.")


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
