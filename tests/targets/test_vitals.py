"""What devices say of themselves becomes numbers, or nothing; see data/README.md."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reports.records import Vitals
from targets import vitals

CASES = sorted((Path(__file__).parent / "data").glob("*.toml"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_device_is_read(path: Path) -> None:
    case = tomllib.loads(path.read_text(encoding="utf-8"))
    assert case["source"].startswith(("recorded", "written"))
    assert vitals.parsed(case["texts"], case["parsers"]) == case["reading"]


def test_what_nobody_asked_for_is_not_read() -> None:
    assert vitals.parsed({"load": "1.00 1 1", "extra": "5"}, {"load": "loadavg"}) == {"load_1m": 1.0}


def test_every_reading_has_its_place_in_the_records() -> None:
    cases = [tomllib.loads(path.read_text(encoding="utf-8")) for path in CASES]
    readings = [case["reading"] for case in cases if not {*case["parsers"].values()} & {*vitals.OF_THE_DEVICE}]
    assert {name for reading in readings for name in reading} <= set(Vitals.model_fields)


digits = st.text("0123456789-. \n²٣", max_size=400)
lines = st.lists(st.text(max_size=60) | digits | st.from_regex(r"\A(Swap|Mem)\w+:\s+\d{1,400} kB\Z"), max_size=4)


@pytest.mark.parametrize("parser", vitals.PARSERS)
@given(texts=lines)
@example(texts=["9" * 400])  # more than a float can hold
def test_no_text_is_an_error(parser: str, texts: list[str]) -> None:
    reading = vitals.PARSERS[parser](texts)
    if parser not in vitals.OF_THE_DEVICE:
        Vitals(when="before", seconds=0.0, **reading)  # numbers are finite, that is
