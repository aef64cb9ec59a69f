"""What is said to be left while measuring: also of rounds whose number nobody knows beforehand."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from harness import progress
from harness.measuring import pairs
from harness.progress import Bars, Lines, Outlook


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> tuple[Lines, io.StringIO]:
    monkeypatch.setattr(progress, "EVERY_S", 0.0)
    heard = io.StringIO()
    return Lines(Console(file=heard, width=120)), heard


def test_rounds_beyond_the_fewest_are_among_what_is_left(lines: tuple[Lines, io.StringIO]) -> None:
    teller, heard = lines
    outlook = Outlook(teller, "x86", 2.0)
    teller.target("x86", 10.0)
    teller.advance("x86", 10.0)
    for passed, rounds in enumerate([[4, 3], [3, 5], [2], []]):
        outlook.before(rounds)
        teller.step("x86", f"pass {passed}")
        for _ in rounds:
            teller.advance("x86", 2.0)
    teller.step("x86", "end")
    assert heard.getvalue().splitlines() == [
        "x86: about 10 s to go",
        "x86: pass 0 (about 14 s to go)",
        "x86: pass 1 (about 16 s to go)",
        "x86: pass 2 (about 4 s to go)",
        "x86: pass 3 (about 0 s to go)",
        "x86: end (about 0 s to go)",
    ]


def test_fewer_rounds_than_were_expected_leave_what_comes_after_them(lines: tuple[Lines, io.StringIO]) -> None:
    teller, heard = lines
    outlook = Outlook(teller, "x86", 2.0)
    teller.target("x86", 30.0)
    outlook.before([9])
    teller.advance("x86", 2.0)
    outlook.before([])
    teller.step("x86", "a sustained pass")
    assert heard.getvalue().splitlines()[-1] == "x86: a sustained pass (about 30 s to go)"


@pytest.mark.parametrize(("done", "left"), [(0, 5), (4, 1), (5, 3), (8, 4), (39, 1), (40, 1)])
def test_a_second_session_goes_from_look_to_look(done: int, left: int) -> None:
    assert pairs.until_look(done) == left


def test_a_bar_is_as_long_as_what_is_done_and_what_is_to_come() -> None:
    bars = Bars(Console(file=io.StringIO()))
    bars.target("x86", 10.0)
    bars.advance("x86", 8.0)
    for more, remaining in ((6.0, 8.0), (-3.0, 5.0), (-90.0, 0.0)):
        bars.more("x86", more)
        assert bars._bars.tasks[0].remaining == remaining
