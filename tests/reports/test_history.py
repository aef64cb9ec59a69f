"""The history keeps what nights found, in SQLite and in PostgreSQL alike."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text

from edgerig.errors import ConfigError, HistoryUnusable, RunError
from reports import history_tables
from reports.history import History, Promotion
from reports.records import Acceptance, Key, Night, Outcome, Run
from tests.support import postgresql

DATA = Path(__file__).parent / "data"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgresql.server() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/nights.sqlite"
    server = str(request.getfixturevalue("server"))
    name = f"empty_{next(NUMBERS)}"  # a schema of its own is made in a moment, a database takes half a second
    engine = create_engine(server.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text(f"CREATE SCHEMA {name}"))
    engine.dispose()
    return f"{server}&options=-csearch_path%3D{name}"


@pytest.fixture
def history(url: str) -> Iterator[History]:
    with History(url) as opened:
        yield opened


def night(run: Run, number: int, exit_code: int = 0, job: str = "nightly") -> Run:
    """Return the run as that of another night."""
    judged = Night(job=job, judged=f"2026-01-{number:02}T03:00:00+00:00", exit_code=exit_code)
    started = f"2026-01-{number:02}T01:00:00+00:00"
    return run.model_copy(update={"id": f"night-{job}-{number}", "started": started, "night": judged})


def test_what_a_night_found_is_read_back(history: History, run: Run) -> None:
    history.add(night(run, 1, exit_code=1), {run.cells[0].id: "regression"})
    ((number, known),) = history.nights().items()
    assert (known.run, known.job, known.exit_code) == ("night-nightly-1", "nightly", 1)
    rows = history.cells()
    assert [(row.night, row.key) for row in rows] == [(number, cell.key) for cell in run.cells]
    first, cell = rows[0], run.cells[0]
    assert first.figures["p50_ms"] == cell.value("latency_p50", "end_to_end")
    assert first.figures["auc"] == cell.value("auc", "all")
    assert first.figures["size_mb"] == run.variants[0].bytes / 1e6
    assert (first.verdict, first.sha256) == ("regression", run.variants[0].sha256)
    crashed = next(row for row in rows if row.outcome == "crashed")
    assert crashed.figures["p50_ms"] is None
    assert "SIGILL" in crashed.reason
    assert [row.emulated for row in rows] == [cell.key.target == "arm64" for cell in run.cells]
    assert [row.key for row in history.cells(only=[run.cells[2].id])] == [run.cells[2].key]
    assert history.cells(only=[]) == []


def test_what_stood_beside_for_comparison_has_no_history(history: History, run: Run) -> None:
    beside = run.cells[1].model_copy(update={"role": "baseline"})
    history.add(night(run, 1).model_copy(update={"cells": (run.cells[0], beside)}), {})
    assert [row.key for row in history.cells()] == [run.cells[0].key]


def test_a_night_that_is_judged_again_is_replaced(history: History, run: Run) -> None:
    history.add(night(run, 1, exit_code=1), {})
    history.add(night(run, 1, exit_code=0), {})
    assert [known.exit_code for known in history.nights().values()] == [0]
    assert len(history.cells()) == len(run.cells)


def test_jobs_are_kept_apart_and_nights_in_their_order(history: History, run: Run) -> None:
    for number, job in ((3, "nightly"), (1, "nightly"), (2, "smoke")):
        history.add(night(run, number, job=job), {})
    assert [known.started[:10] for known in history.nights().values()] == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert [known.run for known in history.nights("smoke").values()] == ["night-smoke-2"]
    assert len(history.cells("nightly")) == 2 * len(run.cells)


def test_it_is_known_when_a_cell_last_reported(history: History, run: Run) -> None:
    lost = run.cells[0].model_copy(update={"outcome": Outcome.LOST})
    never = run.cells[1].model_copy(update={"outcome": Outcome.LOST})
    for number, first in ((1, run.cells[0]), (2, run.cells[0]), (3, lost)):
        history.add(night(run, number).model_copy(update={"cells": (first, never)}), {})
    known = {entry.key: (entry.first[:10], entry.last[:10]) for entry in history.known("nightly")}
    assert known == {run.cells[0].key: ("2026-01-01", "2026-01-02"), run.cells[1].key: ("2026-01-01", "")}
    before = history.known("nightly", "2026-01-02T01:00:00+00:00")
    assert {entry.last[:10] for entry in before} == {"2026-01-01", ""}


def test_what_people_decided_is_kept_with_their_names(history: History) -> None:
    key = Key(variant="a 'b' <c>", target="pi", runtime="onnxruntime==1.23.2", provider="cpu?a=1/2", threads=4)
    told = {"until": "2026-02-01", "reason": 'new "decoder"; DROP TABLE nights', "author": "Ann <a@b>"}
    word = Acceptance(key=key, metric="p50_ms", accepted="2026-01-01T00:00:00+00:00", **told)
    history.accept([word])
    assert history.acceptances() == [word]
    first, second = (
        Promotion("nightly", f"run-{number}", "/srv/runs/x", "why", "Ann", "2026-01-01T00:00:00+00:00", number == 2)
        for number in (1, 2)
    )
    history.promote(first)
    history.promote(second)
    assert history.promotions() == [first, second]
    assert history.promoted("nightly") == second
    assert history.promoted("smoke") is None


def test_two_who_make_the_tables_at_once(url: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        opened = list(pool.map(lambda _: History(url), range(4)))
    for history in opened:
        assert history.nights() == {}
        history.close()


def test_a_newer_history_is_refused(url: str) -> None:
    History(url).close()
    driver = url.replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(driver)
    with engine.begin() as connection:
        connection.execute(text("UPDATE edgerig_history SET schema_version = 99"))
    engine.dispose()
    with pytest.raises(RunError, match="schema version 99, this edgerig reads up to"):
        History(url)


def test_an_old_file_is_brought_up_to_date_and_loses_nothing(tmp_path: Path, run: Run) -> None:
    with sqlite3.connect(tmp_path / "nights.sqlite") as connection:
        connection.executescript((DATA / "history-v1.sql").read_text(encoding="utf-8"))
    connection.close()
    for _ in range(2):  # the second time it is new already
        with History(f"sqlite:///{tmp_path}/nights.sqlite") as history:
            first, second = history.nights().values()
            assert (first.run, second.exit_code, second.headline, second.findings) == ("night-1", 1, "Headline 2.", "")
            assert [row.key for row in history.cells()] == [cell.key for cell in run.cells[:2]] * 2
            assert [entry.author for entry in history.acceptances()] == ["Ann"]
            assert history.promoted("nightly") == history.promotions()[0]
    with History(f"sqlite:///{tmp_path}/nights.sqlite") as history:
        history.add(night(run, 3), {})
        assert len(history.nights()) == 3


def test_postgresql_is_upgraded_alike(server: str, run: Run) -> None:
    """Take the column away that version 2 brought, and let the upgrade bring it again."""
    url = f"{server}&options=-csearch_path%3Dold"
    engine = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.begin() as connection:
        connection.execute(text("CREATE SCHEMA old"))
    with History(url) as history:
        history.add(night(run, 1), {})
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE nights DROP COLUMN findings"))
        connection.execute(text("UPDATE edgerig_history SET schema_version = 1"))
    engine.dispose()
    with History(url) as history:
        assert [entry.findings for entry in history.nights().values()] == [""]


def test_every_older_version_has_its_upgrade() -> None:
    assert sorted(history_tables.UPGRADES) == list(range(1, history_tables.SCHEMA_VERSION))


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nights.sqlite", "'nights.sqlite' is no URL of a database"),
        ("postgresql://lab:secret@db/edgerig", "holds a password"),
        ("postgresql://lab@db/edgerig?password=secret", "holds a password"),
        ("nosuch://db/edgerig", "a driver that is not installed"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        History(url)
    assert "secret" not in f"{refused.value.message}{refused.value.hint}"


def test_what_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "nights.sqlite").write_text("not a database at all, but long enough to be looked at\n" * 30)
    with pytest.raises(HistoryUnusable, match=r"nights\.sqlite cannot be used: file is not a database"):
        History(f"sqlite:///{tmp_path}/nights.sqlite")
    with pytest.raises(HistoryUnusable, match="unable to open"):
        History(f"sqlite:///{tmp_path}/no/such/folder/nights.sqlite")


def test_sqlite_is_read_by_others(tmp_path: Path, run: Run) -> None:
    with History(f"sqlite:///{tmp_path}/nights.sqlite") as history:
        history.add(night(run, 1), {})
    with sqlite3.connect(tmp_path / "nights.sqlite") as connection:
        assert connection.execute("SELECT COUNT(*) FROM cells").fetchone() == (len(run.cells),)
