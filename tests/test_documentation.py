"""What the documentation tells people to type exists, and the files that it points to are there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from harness.cli import cli
from targets import vitals

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(text: str) -> Iterator[str]:
    """Yield the `edgerig …` lines of fenced blocks, without comments."""
    for block in re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S):
        for line in block.splitlines():
            if re.match(r"edgerig [a-z-]", line):
                yield line.split("#")[0].strip()


def parse(line: str) -> None:
    """Parse a command as the command line would, running nothing; raises click.UsageError."""
    words = shlex.split(line)[1:]
    context = click.Context(cli)
    command: click.Command = cli
    while isinstance(command, click.Group) and words:
        name = words.pop(0)
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command = found
    command.make_context("", words)


FOUND = [(page.name, line) for page in PAGES for line in commands(page.read_text())]


def test_the_pages_hold_commands() -> None:
    assert len(FOUND) >= 5


@pytest.mark.parametrize(("page", "line"), FOUND)
def test_documented_commands_exist(page: str, line: str) -> None:
    assert page
    parse(line)


@pytest.mark.parametrize("line", ["edgerig runn", "edgerig run --no-such-option", "edgerig variants forget"])
def test_a_command_that_does_not_exist_would_be_found(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line)


def test_the_parsers_of_vitals_are_all_told() -> None:
    page = (ROOT / "docs" / "devices.md").read_text()
    assert [name for name in vitals.PARSERS if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("target", ["run", "test", "setup", "check"])
def test_the_makefile_has_what_the_readme_names(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M)
