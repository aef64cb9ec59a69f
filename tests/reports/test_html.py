from __future__ import annotations

import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from reports import html
from reports.page import sections
from reports.records import Cell, Run
from tests.reports.synthetic import HOSTILE, QUICK, Arrays

_VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """What a page holds: tags, attributes, texts; `errors` where tags do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.errors: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_startendtag(tag, attrs)
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open.pop() != tag:
            self.errors.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


@pytest.fixture(scope="module")
def page(drawn: tuple[Run, Arrays]) -> str:
    return html.render(*drawn)


def section(page: str, name: str) -> str:
    return page.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def test_the_page_is_well_formed_and_its_ids_are_unique(page: str) -> None:
    parsed = Page(page)
    assert parsed.errors == []
    repeated = [identity for identity, count in Counter(parsed.values("id")).items() if count > 1]
    assert repeated == []
    targets = [value[1:] for value in parsed.values("href") if value.startswith("#")]
    assert set(targets) <= set(parsed.values("id"))


def test_the_page_runs_and_loads_nothing(page: str) -> None:
    parsed = Page(page)
    assert not set(parsed.tags) & {"script", "iframe", "object", "embed", "img", "form", "base"}
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    assert all(value.startswith(("#", "data:,")) for value in parsed.values("href"))
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []
    policy = next(value for value in parsed.values("content") if "default-src" in value)
    assert "default-src 'none'" in policy
    assert "script" not in policy


def test_what_comes_from_outside_is_text(page: str) -> None:
    assert "<script" not in page
    assert "<img" not in page
    assert "<b>bold" not in page
    texts = Page(page).texts
    assert sum(HOSTILE in text for text in texts) >= 10
    assert any("SIGILL at the first frame, <img src=x>" in text for text in texts)
    assert HOSTILE in section(page, "stages").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def test_hostile_text_in_every_string_of_a_run_is_text(run: Run) -> None:
    """Replace every name and sentence of the run by markup that would break out of wherever it stands."""
    evil = "\"'><script>x</script><svg onload=x>{{7*7}}</style>"

    def poison(value: object) -> object:
        if isinstance(value, dict):
            return {key: poison(entry) for key, entry in value.items()}
        if isinstance(value, list):
            return [poison(entry) for entry in value]
        return value + evil if isinstance(value, str) else value

    content = run.model_dump(mode="json")
    kept = {"outcome", "trust", "setting", "when", "scope", "metric", "role", "decision", "gate", "kind"}

    def walk(value: object, name: str = "") -> object:
        if isinstance(value, dict):
            return {key: walk(entry, key) for key, entry in value.items()}
        if isinstance(value, list):
            return [walk(entry, name) for entry in value]
        return value if name in kept else poison(value)

    page = html.render(Run.model_validate(walk(content)))
    parsed = Page(page)
    assert parsed.errors == []
    assert parsed.tags["script"] == 0
    assert not [name for _, name, _ in parsed.attributes if name.startswith("on")]
    assert "{{7*7}}" in page


def test_rendering_twice_gives_the_same_bytes(drawn: tuple[Run, Arrays], page: str) -> None:
    assert html.render(*drawn) == page


def test_frames_are_read_from_the_folder_of_the_run(drawn: tuple[Run, Arrays], page: str, tmp_path: Path) -> None:
    run, arrays = drawn
    arrays.save(tmp_path)
    assert html.render(run, tmp_path) == page


def test_without_frames_only_the_distribution_is_missing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    name = run.cells[0].rounds[0].frames
    (tmp_path / "frames" / str(name)).write_bytes(b"no array")
    page = html.render(run, tmp_path)
    assert section(page, "distribution") == ""
    assert section(page, "stages") != ""
    assert 'href="#distribution"' not in page


def test_a_path_in_the_name_of_frames_leads_nowhere(run: Run, tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    np.save(tmp_path / "secret.npy", np.ones((50, 5), np.int64))
    cell = run.cells[0]
    entries = tuple(entry.model_copy(update={"frames": "../secret.npy"}) for entry in cell.rounds)
    strayed = run.model_copy(update={"cells": (cell.model_copy(update={"rounds": entries}),)})
    assert section(html.render(strayed, tmp_path), "distribution") == ""


def test_every_cell_is_a_row_with_reason_and_next_step(run: Run, page: str) -> None:
    cells = section(page, "cells")
    rows = re.findall(r"<tr(?: class=\"lost\")?>\s*<th scope=\"row\">", cells)
    assert len(rows) == len(run.cells)
    assert "NaN for 12 of 400 faces" in cells
    assert "compare the outputs of each layer" in cells
    assert "cool the device" in cells


def test_emulated_cells_stand_apart_and_in_no_chart(drawn: tuple[Run, Arrays], page: str) -> None:
    real, _, emulated = section(page, "cells").partition("<h3>Emulated</h3>")
    assert "arm64" not in real
    assert emulated.count('<th scope="row">') == 2
    for name in ("trade", "distribution", "stages", "operators"):
        assert "arm64" not in section(page, name)
    run, arrays = drawn
    real_only = run.model_copy(update={"cells": tuple(cell for cell in run.cells if cell.key.target != "arm64")})
    drawn_only = html.render(real_only, arrays)
    for name in ("trade", "distribution", "stages"):
        assert section(drawn_only, name) == section(page, name)


def test_emulated_cells_are_in_the_order_of_names_and_not_of_times(run: Run) -> None:
    cells = [cell for cell in run.cells if cell.key.target == "arm64"]
    fast = [cell.key.variant for cell in sorted(cells, key=lambda cell: cell.value("latency_p50", "end_to_end") or 0)]
    assert fast != sorted(fast)  # else this test could not fail
    _, _, emulated = section(html.render(run), "cells").partition("<h3>Emulated</h3>")
    assert sorted(fast, key=emulated.index) == sorted(fast)


def test_a_run_on_emulated_targets_alone_has_no_chart_of_times(run: Run) -> None:
    cells = tuple(cell for cell in run.cells if cell.key.target == "arm64")
    page = html.render(run.model_copy(update={"cells": cells}))
    assert section(page, "stages") == ""
    assert "No time was measured on a real device" in page
    assert section(page, "accuracy") != ""


def test_a_run_without_cells_is_a_page(run: Run) -> None:
    page = html.render(run.model_copy(update={"cells": (), "targets": (), "variants": (), "finished": None}))
    assert Page(page).errors == []
    assert "Nothing was measured." in page
    assert "interrupted" in page


def test_quick_and_drawn_faces_are_said_first(run: Run) -> None:
    quick = run.model_copy(update={"method": QUICK, "cells": ()})
    notes = html.render(quick).partition('<ul class="notes"')[2].partition("</ul>")[0]
    assert "Quick run" in notes
    assert "drawn, not photographed" in notes
    assert "ondemand" in notes


def test_a_headline_of_the_run_is_kept(run: Run) -> None:
    assert '<p class="headline">Mine.</p>' in html.render(run.model_copy(update={"headline": "Mine.", "cells": ()}))


def test_every_table_has_scoped_headers_and_every_chart_a_name(page: str) -> None:
    parsed = Page(page)
    headers = sum(1 for tag, name, _ in parsed.attributes if tag == "th" and name == "scope")
    assert headers == parsed.tags["th"]
    labels = [value for tag, name, value in parsed.attributes if tag == "svg" and name == "aria-label"]
    assert len(labels) == parsed.tags["svg"]
    assert parsed.tags["figure"] == parsed.tags["figcaption"]


def test_every_section_of_charts_says_how_to_read_it(page: str) -> None:
    for name in ("cells", "trade", "distribution", "stages", "accuracy", "memory", "operators"):
        assert "How to read this." in section(page, name), name


def test_accuracy_is_shown_once_for_all_thread_counts(run: Run, page: str) -> None:
    passes = {(cell.key.variant, cell.key.target, cell.key.runtime) for cell in run.cells if cell.accuracy}
    assert section(page, "accuracy").count('class="confusion"') == len(passes) - 1  # one failed
    assert section(page, "accuracy").count("NaN for 12 of 400 faces") == 1


def test_fingerprints_that_differ_are_marked(run: Run, page: str) -> None:
    environment = section(page, "environment")
    marked = set(re.findall(r"<mark>([^<]+)</mark></th>", environment))
    assert marked == {"device", "cpu", "threads", "precision", "model sha256"}
    cells = tuple(cell for cell in run.cells if cell.key.threads == 1)[:1]
    alone = section(html.render(run.model_copy(update={"cells": cells})), "environment")
    assert "<mark>" not in alone


def test_operators_are_summed_by_type(run: Run) -> None:
    profile = sections.profile(next(cell for cell in run.cells if cell.operators))
    by_type = {one.type: one for one in profile.types}
    assert by_type["Conv"].ms_per_frame == pytest.approx(
        sum(one.ms_per_frame for one in profile.nodes if one.type == "Conv")
    )
    assert by_type["Conv"].calls_per_frame == 2
    assert [one.ms_per_frame for one in profile.nodes] == sorted((o.ms_per_frame for o in profile.nodes), reverse=True)


def test_only_the_fifteen_slowest_operators_are_listed(run: Run) -> None:
    cell = next(cell for cell in run.cells if cell.operators)
    many = tuple(cell.operators[0].model_copy(update={"node": f"n{at}", "ms_per_frame": at}) for at in range(40))
    profile = sections.profile(cell.model_copy(update={"operators": many}))
    assert [one.node for one in profile.nodes] == [f"n{at}" for at in range(39, 24, -1)]
    assert profile.total == sum(range(40))


def test_authors_figures_are_printed_as_theirs_with_their_data(page: str) -> None:
    printed = section(page, "method").partition("What the authors printed")[2]
    assert "their own set" in printed
    assert "paper S0" in printed


def test_more_cells_than_colours_are_said_to_be_left_out(run: Run) -> None:
    def renamed(cell: Cell, at: int) -> Cell:
        return cell.model_copy(update={"key": cell.key.model_copy(update={"variant": f"v{at}"})})

    first = run.cells[0]
    variants = tuple(run.variants[0].model_copy(update={"name": f"v{at}"}) for at in range(15))
    crowd = run.model_copy(update={"cells": tuple(renamed(first, at) for at in range(15)), "variants": variants})
    assert "The 12 fastest of 15." in section(html.render(crowd), "stages")


def test_charts_beyond_the_fourth_are_folded(run: Run) -> None:
    first = run.cells[0]
    cells = tuple(
        first.model_copy(update={"key": first.key.model_copy(update={"threads": threads})}) for threads in range(1, 7)
    )
    page = section(html.render(run.model_copy(update={"cells": cells})), "stages")
    assert "<summary>2 more</summary>" in page
    assert page.count("<figure>") == 6
