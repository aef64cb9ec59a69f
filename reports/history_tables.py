"""The tables of the history, and how older ones become them; any database that SQLAlchemy knows.

A change of a table raises SCHEMA_VERSION, adds an upgrade here, and keeps an old file under tests/reports/data/.
A migration tool would bring more machinery than there are tables: this is the way of `run.json` as well.

History of the schema: 1, the first; 2, what a night said, besides its exit code.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    insert,
    inspect,
    select,
    text,
    update,
)

from edgerig.errors import RunError

SCHEMA_VERSION = 2

tables = MetaData()

version = Table(
    "edgerig_history",
    tables,
    Column("id", Integer, primary_key=True),  # always 1: two who make the tables at once collide here
    Column("schema_version", Integer, nullable=False),
)

nights = Table(
    "nights",
    tables,
    Column("id", Integer, primary_key=True),
    Column("run", String(120), nullable=False, unique=True),
    Column("job", String(120), nullable=False, index=True),  # [runs.NAME], "" for none
    Column("started", String(40), nullable=False),  # UTC, ISO 8601
    Column("finished", String(40)),
    Column("edgerig", String(40), nullable=False),
    Column("code_commit", String(60), nullable=False),  # "commit" is a word of SQL
    Column("setting", String(20), nullable=False),
    Column("tag", Text, nullable=False),
    Column("baseline", Text, nullable=False),  # the run that it was compared with, "" for none
    Column("exit_code", Integer, nullable=False),
    Column("headline", Text, nullable=False),
    Column("findings", Text, nullable=False, server_default=""),  # a sentence a line
)

KEY = ("variant", "target", "runtime", "provider", "threads")
FIGURES = ("p50_ms", "p50_low_ms", "p50_high_ms", "p95_ms", "peak_mb", "auc", "auc_low", "auc_high", "size_mb")
COUNTS = ("instructions",)
TOLD = ("outcome", "reason", "trust", "verdict", "sha256", "runtime_version", "device")


def _names() -> list[Column[str] | Column[int]]:
    """Return the columns of a cell's names; `cell` is made of all of them and the same every night."""
    return [
        Column("cell", String(120), nullable=False),
        *(Column(name, Text, nullable=False) for name in KEY if name != "threads"),
        Column("threads", Integer, nullable=False),
    ]


cells = Table(
    "cells",
    tables,
    Column("night", ForeignKey("nights.id", ondelete="CASCADE"), primary_key=True),
    Column("cell", String(120), primary_key=True, index=True),
    *_names()[1:],
    *(Column(name, Text, nullable=False) for name in TOLD),
    Column("emulated", Boolean, nullable=False),
    *(Column(name, Float) for name in (*FIGURES, *COUNTS)),
)

acceptances = Table(
    "acceptances",
    tables,
    Column("id", Integer, primary_key=True),
    *_names(),
    Column("metric", String(60), nullable=False),  # "" for all figures
    Column("until", String(10), nullable=False),  # the last day on which it holds
    Column("reason", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("accepted", String(40), nullable=False),
    Column("run", String(120), nullable=False),  # the latest night then, "" for none
)

baselines = Table(
    "baselines",
    tables,
    Column("id", Integer, primary_key=True),
    Column("job", String(120), nullable=False),
    Column("run", String(120), nullable=False),
    Column("folder", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("promoted", String(40), nullable=False),
    Column("forced", Boolean, nullable=False),
)


def _add_findings(connection: Connection) -> None:
    connection.execute(text("ALTER TABLE nights ADD COLUMN findings TEXT DEFAULT '' NOT NULL"))


UPGRADES: dict[int, Callable[[Connection], None]] = {1: _add_findings}  # version n -> what makes n + 1 of it


def prepare(connection: Connection, where: str) -> None:
    """Make the tables where there are none, and bring older ones up to date.

    Args:
        connection: in a transaction.
        where: the database, for a sentence.

    Raises:
        RunError: a newer edgerig wrote them.
    """
    if not inspect(connection).has_table(version.name):
        tables.create_all(connection)
        connection.execute(insert(version).values(id=1, schema_version=SCHEMA_VERSION))
        return
    found = connection.execute(select(version.c.schema_version)).scalar_one()
    if found > SCHEMA_VERSION:
        raise RunError(
            f"the history {where} has schema version {found}, this edgerig reads up to {SCHEMA_VERSION}.",
            "Update edgerig.",
        )
    for number in range(found, SCHEMA_VERSION):
        UPGRADES[number](connection)
    if found < SCHEMA_VERSION:
        connection.execute(update(version).values(schema_version=SCHEMA_VERSION))
