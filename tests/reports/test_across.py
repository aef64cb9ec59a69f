"""Two runs of two sessions: unlike ones are refused, and no word of a decision is used."""

from __future__ import annotations

import numpy as np
import pytest

from reports import across, across_view
from reports.records import Cell, Fingerprint, Outcome, Run
from tests.reports.synthetic import HOSTILE, fingerprint


def medians(run: Run, factor: float = 1.0, seed: int = 0) -> dict[str, list[float]]:
    """Return medians of seven rounds of .3 % noise for each cell."""
    draw = np.random.default_rng(seed)
    return {
        cell.id: [float(value) for value in 1e6 * factor * np.exp(draw.normal(0, 0.003, 7))] for cell in run.candidates
    }


def changed(run: Run, **keys: str) -> Run:
    """Return a run whose cells have another fingerprint."""

    def other(cell: Cell) -> Cell:
        print_ = cell.fingerprint and Fingerprint.model_validate({**cell.fingerprint.model_dump(), **keys})
        return cell.model_copy(update={"fingerprint": print_})

    return run.model_copy(update={"cells": tuple(other(cell) for cell in run.cells), "id": "other"})


def test_the_same_run_beside_itself_shows_no_difference(run: Run) -> None:
    found = across.across(run, run, medians(run), medians(run, seed=1))
    assert {row.seen for row in found.rows} == {"no difference seen", "cannot tell"}
    assert found.refused == ()
    assert all(row.same_model for row in found.rows if row.ratio)


def test_a_slower_run_looks_slower_and_nothing_is_decided(run: Run) -> None:
    found = across.across(run, run, medians(run, 1.1), medians(run, seed=1))
    seen = {row.seen for row in found.rows if row.ratio}
    assert seen == {"looks slower"}
    words = found.model_dump_json()
    assert not [word for word in ("regression", "improvement", "verdict") if word in words]
    assert "edgerig run --baseline" in found.note


def test_cells_that_are_not_ok_or_emulated_have_no_times(run: Run) -> None:
    found = across.across(run, run, medians(run), medians(run))
    by_cell = {row.cell: row for row in found.rows}
    for cell in run.cells:
        if cell.outcome is not Outcome.OK or cell.key.target == "arm64":
            assert (by_cell[cell.id].seen, by_cell[cell.id].ratio) == ("cannot tell", None)
            assert by_cell[cell.id].reason


def test_what_is_expected_to_differ_may(run: Run) -> None:
    other = changed(run, model_sha256="99" * 32, commit="feedfeedfeed")
    found = across.across(run, other, medians(run), medians(run))
    assert found.refused == ()
    assert not any(row.same_model for row in found.rows)


@pytest.mark.parametrize("key", [name for name in across.KEYS if name != "cores"])
def test_every_other_key_is_refused_unless_allowed(run: Run, key: str) -> None:
    other = changed(run, **{key: "something else"})
    assert {one.key for one in across.across(run, other, {}, {}).refused} == {key}
    allowed = across.across(run, other, {}, {}, [key])
    assert allowed.refused == ()
    assert allowed.allowed == (key,)
    assert "which was allowed" in across.mark(allowed)
    assert "something else" in across_view.page(allowed)


def test_a_missing_fingerprint_is_not_called_unlike() -> None:
    assert across.unlike(None, fingerprint("a", "x86", 1)) == []


def test_cells_of_one_run_alone_are_named(run: Run) -> None:
    fewer = run.model_copy(update={"cells": run.cells[1:], "id": "fewer"})
    found = across.across(run, fewer, {}, {})
    assert found.only_candidate == (str(run.cells[0].key),)
    assert any("Only in" in line for line in across_view.missing(found))


def test_the_page_escapes_names(run: Run) -> None:
    page = across_view.page(across.across(run, run, medians(run), medians(run)))
    assert "<script" not in page
    assert HOSTILE not in page
    assert "alert(1)" in page
