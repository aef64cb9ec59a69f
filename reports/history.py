"""The history: what each night found of each cell, what was accepted, and which run is the baseline.

A cell is known by its names alone (variant, target, runtime, provider, threads), so that models which are built
every night keep one history; the model's sha256, the runtime's version and the device are attributes of a night.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    Connection,
    Engine,
    Row,
    Select,
    case,
    create_engine,
    delete,
    event,
    func,
    insert,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, ProgrammingError, SQLAlchemyError

from edgerig.errors import ConfigError, HistoryUnusable
from reports import history_tables as tables
from reports.collate import cell_id
from reports.records import Acceptance, Cell, Key, Run

BUSY_S = 30.0  # how long a SQLite file that another process writes is waited for

FIGURES = {
    "p50_ms": ("latency_p50", "end_to_end"),
    "p95_ms": ("latency_p95", "end_to_end"),
    "peak_mb": ("vm_hwm_mb", "all"),
    "auc": ("auc", "all"),
    "instructions": ("instructions", "inference"),
}
METRICS = (*FIGURES, "size_mb")
NO_REPORT = ("lost", "skipped")  # outcomes of cells of which nothing was heard
TIMES = frozenset({"p50_ms", "p95_ms"})  # those of an emulator say nothing


@dataclass(frozen=True)
class NightRow:
    """A night as the history knows it."""

    run: str
    job: str
    started: str
    exit_code: int
    headline: str
    baseline: str
    findings: str = ""  # a sentence a line


@dataclass(frozen=True)
class CellRow:
    """What a night found of a cell; figures by name, those that were not measured are None."""

    night: int
    key: Key
    outcome: str
    reason: str
    trust: str
    verdict: str
    emulated: bool
    sha256: str
    runtime_version: str
    device: str
    figures: Mapping[str, float | None]


@dataclass(frozen=True)
class Known:
    """A cell that nights knew: the first that did, and the last in which it reported, UTC, or ""."""

    cell: str
    key: Key
    first: str
    last: str


@dataclass(frozen=True)
class Promotion:
    """A run that was promoted."""

    job: str
    run: str
    folder: str
    reason: str
    author: str
    promoted: str
    forced: bool


class History:
    """The history in a database.

    Args:
        url: SQLAlchemy's, e.g. "sqlite:////srv/edgerig/nights.sqlite", "postgresql+psycopg://lab@db/edgerig".

    Raises:
        ConfigError: the URL is none, holds a password, or its driver is not installed.
        HistoryUnusable: the database does not answer.
        RunError: a newer edgerig wrote it.
    """

    def __init__(self, url: str | URL) -> None:
        self._engine = _engine(url)
        self.where = self._engine.url.render_as_string(hide_password=True)
        try:
            self._prepare_patiently()
        except BaseException:
            self.close()
            raise

    def _prepare_patiently(self) -> None:
        try:
            self._prepare()
        except HistoryUnusable as error:
            # Two controllers that make the tables at the same moment: the second finds them made.
            if not isinstance(error.__cause__, IntegrityError | ProgrammingError):
                raise
            self._prepare()

    def _prepare(self) -> None:
        with self._transaction() as connection:
            tables.prepare(connection, self.where)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[Connection]:
        try:
            with self._engine.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            why = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
            raise HistoryUnusable(
                f"the history {self.where} cannot be used: {why}.",
                "It is [store] history of edgerig.toml; what was measured is in the folders of the runs.",
            ) from error

    def close(self) -> None:
        """Let go of the database."""
        self._engine.dispose()

    def __enter__(self) -> History:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- nights

    def add(self, run: Run, verdicts: Mapping[str, str]) -> None:
        """Keep a judged night; one that is there already is replaced.

        Args:
            run: with its `night`.
            verdicts: what comparing said, by cell id.
        """
        with self._transaction() as connection:
            _forget(connection, run.id)
            night = connection.execute(insert(tables.nights).values(_night(run))).inserted_primary_key
            rows = [{"night": night[0] if night else None, **row} for row in _cells(run, verdicts)]
            if rows:
                connection.execute(insert(tables.cells), rows)

    def nights(self, job: str | None = None) -> dict[int, NightRow]:
        """Return the nights of a job, of all for None, by number, the oldest first."""
        query = select(tables.nights).order_by(tables.nights.c.started, tables.nights.c.id)
        return {row.id: _night_row(row) for row in self._rows(_of_job(query, job))}

    def cells(self, job: str | None = None, only: Collection[str] | None = None) -> list[CellRow]:
        """Return what the nights of a job, of all for None, found of cells, the oldest first.

        Args:
            job: [runs.NAME].
            only: ids of cells; all for None. A year of 480 cells is 175,000 rows.
        """
        query = select(tables.cells).join(tables.nights).order_by(tables.nights.c.started, tables.nights.c.id)
        query = query if only is None else query.where(tables.cells.c.cell.in_(only))
        return [_cell_row(row) for row in self._rows(_of_job(query, job))]

    def known(self, job: str | None = None, before: str = "9") -> list[Known]:
        """Return the cells of a job's nights, of all for None, that began before a moment, UTC, ISO 8601."""
        there = tables.cells.c.outcome.not_in(NO_REPORT)
        moment = tables.nights.c.started
        query = (
            select(
                tables.cells.c.cell,
                *(tables.cells.c[name] for name in tables.KEY),
                func.min(moment).label("first"),
                func.coalesce(func.max(case((there, moment))), "").label("last"),
            )
            .join(tables.nights)
            .where(moment < before)
            .group_by(tables.cells.c.cell, *(tables.cells.c[name] for name in tables.KEY))
            .order_by(*(tables.cells.c[name] for name in tables.KEY))
        )
        return [Known(row.cell, _key(row), row.first, row.last) for row in self._rows(_of_job(query, job))]

    def _rows(self, query: Select[Any]) -> list[Row[Any]]:
        with self._transaction() as connection:
            return list(connection.execute(query))

    # -- what people decided

    def accept(self, acceptances: Iterable[Acceptance]) -> None:
        """Keep that cells are accepted."""
        rows = [
            {"cell": cell_id(entry.key), **entry.key.model_dump(), **entry.model_dump(exclude={"key"})}
            for entry in acceptances
        ]
        with self._transaction() as connection:
            connection.execute(insert(tables.acceptances), rows)

    def acceptances(self) -> list[Acceptance]:
        """Return all that was ever accepted, the oldest first."""
        rows = self._rows(select(tables.acceptances).order_by(tables.acceptances.c.id))
        return [_acceptance(row) for row in rows]

    def promote(self, promotion: Promotion) -> None:
        """Make a run the baseline of a job; what was promoted before is kept."""
        with self._transaction() as connection:
            connection.execute(insert(tables.baselines).values(vars(promotion)))

    def promotions(self) -> list[Promotion]:
        """Return all that was ever promoted, the oldest first."""
        rows = self._rows(select(tables.baselines).order_by(tables.baselines.c.id))
        return [Promotion(**{name: getattr(row, name) for name in Promotion.__dataclass_fields__}) for row in rows]

    def promoted(self, job: str) -> Promotion | None:
        """Return the baseline of a job, None where there is none."""
        return next((entry for entry in reversed(self.promotions()) if entry.job == job), None)


def _engine(url: str | URL) -> Engine:
    parsed = parsed_url(url)
    try:
        engine = create_engine(parsed, **({"connect_args": {"timeout": BUSY_S}} if _is_file(parsed) else {}))
    except (NoSuchModuleError, ImportError) as error:
        hint = "pip install 'psycopg[binary]'" if parsed.get_backend_name() == "postgresql" else ""
        raise ConfigError(f"the history needs a driver that is not installed: {error}.", hint) from error
    if _is_file(parsed):
        _serialize(engine)
    return engine


def in_file(path: Path) -> URL:
    """Return the URL of a SQLite file; a "?" of its path would begin the options in a text."""
    return URL.create("sqlite", database=str(path))


def parsed_url(url: str | URL) -> URL:
    """Return a database's URL, of PostgreSQL with the driver that we install; raises ConfigError."""
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError(f"'{url}' is no URL of a database.", 'Write e.g. "sqlite:///nights.sqlite".') from error
    if parsed.password or "password" in parsed.query:
        raise ConfigError(
            f"the history's URL {parsed.set(query={}).render_as_string(hide_password=True)} holds a password.",
            "Take it out: PostgreSQL reads ~/.pgpass and $PGPASSWORD.",
        )
    plain = parsed.drivername == "postgresql"  # SQLAlchemy would take psycopg2, which we do not install
    return parsed.set(drivername="postgresql+psycopg") if plain else parsed


def _is_file(url: URL) -> bool:
    return url.get_backend_name() == "sqlite"


def _serialize(engine: Engine) -> None:
    """Let SQLite begin transactions for writing at once, tables included, so that two writers take turns.

    The recipe of SQLAlchemy's pages on SQLite ("Serializable isolation / Savepoints / Transactional DDL").
    """

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def _forget(connection: Connection, run: str) -> None:
    known = select(tables.nights.c.id).where(tables.nights.c.run == run)
    connection.execute(delete(tables.cells).where(tables.cells.c.night.in_(known)))
    connection.execute(delete(tables.nights).where(tables.nights.c.run == run))


def _of_job(query: Select[Any], job: str | None) -> Select[Any]:
    return query if job is None else query.where(tables.nights.c.job == job)


# -- records to rows, rows to records


def _night(run: Run) -> dict[str, object]:
    night = run.night
    return {
        "run": run.id,
        "job": night.job if night else run.name,
        "started": run.started,
        "finished": run.finished,
        "edgerig": run.edgerig,
        "code_commit": run.commit,
        "setting": run.method.setting,
        "tag": run.tag,
        "baseline": night.baseline if night else "",
        "exit_code": night.exit_code if night else 0,
        "headline": run.headline,
        "findings": "\n".join(f"{entry.level}: {entry.text}" for entry in night.findings) if night else "",
    }


def _cells(run: Run, verdicts: Mapping[str, str]) -> Iterator[dict[str, object]]:
    emulated = {target.name: target.emulated for target in run.targets}
    variants = {variant.name: variant for variant in run.variants}
    for cell in run.candidates:  # what stood beside them for comparison has no history of its own
        variant = variants.get(cell.key.variant)
        yield {
            "cell": cell_id(cell.key),
            **cell.key.model_dump(),
            "outcome": str(cell.outcome),
            "reason": cell.reason,
            "trust": str(cell.verdict.trust) if cell.verdict else "",
            "verdict": verdicts.get(cell.id, ""),
            "emulated": emulated.get(cell.key.target, False),
            "sha256": variant.sha256 if variant else "",
            "runtime_version": cell.fingerprint.runtime_version if cell.fingerprint else "",
            "device": cell.fingerprint.device if cell.fingerprint else "",
            "size_mb": variant.bytes / 1e6 if variant else None,
            **_measured(cell),
        }


def _measured(cell: Cell) -> dict[str, float | None]:
    values = {name: cell.value(*figure) for name, figure in FIGURES.items()}
    p50, auc = cell.metric("latency_p50", "end_to_end"), cell.metric("auc", "all")
    ends = {
        "p50_low_ms": p50.ci_low if p50 else None,
        "p50_high_ms": p50.ci_high if p50 else None,
        "auc_low": auc.ci_low if auc else None,
        "auc_high": auc.ci_high if auc else None,
    }
    return {**values, **ends}


def _night_row(row: Row[Any]) -> NightRow:
    return NightRow(**{name: getattr(row, name) for name in NightRow.__dataclass_fields__})


def _key(row: Row[Any]) -> Key:
    return Key(**{name: getattr(row, name) for name in tables.KEY})


def _cell_row(row: Row[Any]) -> CellRow:
    told = {name: getattr(row, name) for name in ("night", *tables.TOLD, "emulated")}
    figures = {name: getattr(row, name) for name in (*tables.FIGURES, *tables.COUNTS)}
    return CellRow(key=_key(row), figures=figures, **told)


def _acceptance(row: Row[Any]) -> Acceptance:
    names = [name for name in Acceptance.model_fields if name != "key"]
    return Acceptance(key=_key(row), **{name: getattr(row, name) for name in names})
