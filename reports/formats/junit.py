"""`junit.xml`, for CI servers: a test suite a target, a test case a cell.

failure: a regression or a broken budget. error: the device, or a crash. skipped: unsupported, absent, or a device that
may be missing. What was accepted passes, and is told in the suite's output. The elements and their order are those of
the schema that Jenkins and others read (Ant's JUnit tasks).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from reports import accepted, budgets, worse
from reports.patterns import path
from reports.records import BudgetCheck, Cell, Finding, Judgement, Outcome, Run

# All that XML 1.0 lets nobody write, not even escaped.
_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ABSENT = (Outcome.UNSUPPORTED, Outcome.SKIPPED)


@dataclass(frozen=True)
class _Case:
    """A test case; `kind` is "failure", "error", "skipped", or "" where it passed."""

    name: str
    classname: str
    seconds: float
    kind: str = ""
    type: str = ""
    message: str = ""


def files(run: Run, _folder: Path | None) -> dict[str, str]:
    """Return the run as JUnit XML."""
    root = Element("testsuites")
    for number, (name, cases) in enumerate(_suites(run)):
        root.append(_suite(run, number, name, cases))
    ElementTree.indent(root)
    return {"junit.xml": '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"}


def _suites(run: Run) -> Iterator[tuple[str, list[_Case]]]:
    for target in run.targets:
        cells = [cell for cell in worse.candidates(run) if cell.key.target == target.name]
        yield target.name, [case for cell in cells for case in _cases(run, cell)]
    gone = list(_gone(run))
    if gone:
        yield "silent", gone


def _suite(run: Run, number: int, name: str, cases: list[_Case]) -> Element:
    kinds = [case.kind for case in cases]
    suite = Element("testsuite", {"name": _text(name), "package": f"edgerig.{_text(run.name or 'run')}"})
    suite.attrib |= {"id": str(number), "timestamp": run.started[:19], "hostname": _text(name)}
    suite.attrib |= {"tests": str(len(cases)), "failures": str(kinds.count("failure"))}
    suite.attrib |= {"errors": str(kinds.count("error")), "skipped": str(kinds.count("skipped"))}
    suite.set("time", f"{sum(case.seconds for case in cases):.3f}")
    properties = SubElement(suite, "properties")
    for key, value in (("run", run.id), ("edgerig", run.edgerig), ("commit", run.commit)):
        SubElement(properties, "property", {"name": key, "value": _text(value)})
    for case in cases:
        _add(suite, case)
    SubElement(suite, "system-out").text = _text("\n".join(_notes(run, name)))
    SubElement(suite, "system-err")
    return suite


def _add(suite: Element, case: _Case) -> None:
    names = {"name": _text(case.name), "classname": _text(case.classname), "time": f"{case.seconds:.3f}"}
    element = SubElement(suite, "testcase", names)
    if case.kind == "skipped":
        SubElement(element, "skipped", {"message": _text(case.message)})
    elif case.kind:
        told = {"type": case.type, "message": _text(case.message)}
        SubElement(element, case.kind, told).text = _text(case.message)


def _cases(run: Run, cell: Cell) -> Iterator[_Case]:
    key = cell.key
    threads = f"{key.threads} thread{'s' * (key.threads != 1)}"
    classname = ".".join(("edgerig", run.name or "run", key.target, key.runtime, key.provider))
    seconds = sum(entry.seconds for entry in cell.rounds)
    yield _Case(f"{key.variant}, {threads}", classname, seconds, *_standing(run, cell))
    for check in run.budgets:
        if check.cell == cell.id:
            name = f"{key.variant}, {threads}: {check.budget} {budgets.limit_of(check)}"
            yield _Case(name, classname, 0.0, *_held(run, check))


def _held(run: Run, check: BudgetCheck) -> tuple[str, str, str]:
    """Return kind, type and message of a budget's test case; one that is not decided is skipped, and says why."""
    told = f"{budgets.sentence(run, check)} {check.next_step}".strip()
    if check.verdict is Judgement.BROKEN:
        return ("", "", "") if _accepted(run, check.cell, check.budget) else ("failure", "budget", told)
    return ("", "", "") if check.verdict is Judgement.MET else ("skipped", "budget", told)


def _standing(run: Run, cell: Cell) -> tuple[str, str, str]:
    """Return kind, type and message of a cell's own test case."""
    if cell.outcome in _ABSENT or (cell.outcome is Outcome.LOST and _may_be_missing(run, cell.id)):
        return _alarmed(run, cell) or ("skipped", "", f"{cell.outcome}: {cell.reason}")
    worse = _worse(run, cell.id)
    if worse:
        return "failure", "regression", "\n".join(worse)
    if cell.outcome is not Outcome.OK and not _accepted(run, cell.id, "outcome"):
        return "error", str(cell.outcome), " ".join(part for part in (cell.reason, cell.next_step) if part)
    return "", "", ""


def _worse(run: Run, cell: str) -> list[str]:
    """Return what is red of a cell: what its night found, else what comparing says."""
    if run.night:
        return [entry.text for entry in _findings(run, "regression") if cell in entry.cells]
    return [entry.text for entry in worse.worse(run) if entry.cell == cell and entry.kind == "regression"]


def _alarmed(run: Run, cell: Cell) -> tuple[str, str, str] | None:
    alarm = next((entry for entry in _findings(run, "silent") if cell.id in entry.cells), None)
    return ("error", "silent", alarm.text) if alarm else None


def _gone(run: Run) -> Iterator[_Case]:
    """Yield an error for each alarm about cells that are not in the run any more."""
    here = {cell.id for cell in run.cells}
    for finding in _findings(run, "silent"):
        if not here.intersection(finding.cells):
            name = f"edgerig.{run.name or 'run'}.silent"
            yield _Case(finding.cells[0], name, 0.0, "error", "silent", finding.text)


def _findings(run: Run, kind: str) -> Iterable[Finding]:
    return [entry for entry in (run.night.findings if run.night else ()) if entry.kind == kind]


def _may_be_missing(run: Run, cell: str) -> bool:
    kinds = ("lost", "accepted")
    entries = [entry for kind in kinds for entry in _findings(run, kind) if cell in entry.cells]
    return any(entry.exit_code == 0 for entry in entries)


def _accepted(run: Run, cell: str, metric: str) -> bool:
    return bool(accepted.until(run, cell, metric))


def _notes(run: Run, target: str) -> Iterator[str]:
    """Yield what is to be read of a target besides its test cases."""
    cells = {cell.id for cell in run.cells if cell.key.target == target}
    for finding in _findings(run, "accepted"):
        if cells.intersection(finding.cells):
            yield finding.text
    for cell in run.cells:
        if cell.id in cells and cell.verdict:
            yield f"{path(cell.key)}: {cell.verdict.trust}, {cell.verdict.reason}"


def _text(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)
