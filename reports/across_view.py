"""Two runs side by side, as a table of a terminal and as one HTML page."""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

from reports import across
from reports.across import Across

if TYPE_CHECKING:
    from rich.console import RenderableType


def summary(found: Across) -> RenderableType:
    """Return the comparison for a rich console."""
    from rich import box  # noqa: PLC0415  loaded by those who print
    from rich.console import Group  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0), title=Text(title(found)), title_justify="left")
    for name in across.COLUMNS:
        table.add_column(name, overflow="fold")
    for row in found.rows:
        table.add_row(*(Text(text) for text in across.texts(row)))
    lines = [Text(line, style="yellow") for line in (across.mark(found), *missing(found), found.note) if line]
    return Group(table, *lines)


def title(found: Across) -> str:
    """Return what is compared with what."""
    return f"{found.candidate} beside {found.baseline}, two sessions"


def missing(found: Across) -> list[str]:
    """Return a sentence for each run whose cells the other one has not."""
    both = ((found.candidate, found.only_candidate), (found.baseline, found.only_baseline))
    return [f"Only in {run}: {', '.join(names)}." for run, names in both if names]


def page(found: Across) -> str:
    """Return the comparison as one HTML page without scripts; everything is escaped."""
    import jinja2  # noqa: PLC0415  loaded by those who write a page
    from markupsafe import Markup  # noqa: PLC0415

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("reports"), autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True
    )
    style = resources.files("reports").joinpath("templates", "report.css").read_text(encoding="utf-8")
    return environment.get_template("across.html").render(
        style=Markup(style),  # noqa: S704  a file of ours
        title=title(found),
        mark=across.mark(found),
        missing=missing(found),
        note=found.note,
        columns=across.COLUMNS,
        rows=[across.texts(row) for row in found.rows],
    )
