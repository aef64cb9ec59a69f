"""The journal survives what kills a controller, and belongs to one of them at a time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from edgerig.errors import OutputError, RunError
from harness import journal
from harness.journal import Journal
from tests.support import disks


def test_what_is_appended_is_read_back(tmp_path: Path) -> None:
    with Journal(tmp_path) as book:
        book.append("run", plan={"name": "ü\n"})
        book.append("finished")
    assert journal.read(tmp_path) == [{"event": "run", "plan": {"name": "ü\n"}}, {"event": "finished"}]


def test_it_is_on_the_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda handle: synced.append((tmp_path / journal.NAME).read_bytes()))
    with Journal(tmp_path) as book:
        book.append("a")
        assert synced == [b'{"event":"a"}\n']  # once, after all of the line was written
        book.append("b")
    assert synced[1].endswith(b'{"event":"b"}\n')


@pytest.mark.parametrize("cut", range(1, 14))
def test_a_line_that_was_cut_off_is_left_out_and_then_taken_away(tmp_path: Path, cut: int) -> None:
    path = tmp_path / journal.NAME
    path.write_bytes(b'{"event":"a"}\n' + b'{"event":"b"}\n'[:-cut])
    assert journal.read(tmp_path) == [{"event": "a"}]
    with Journal(tmp_path) as book:
        book.append("c")
    assert journal.read(tmp_path) == [{"event": "a"}, {"event": "c"}]


@pytest.mark.parametrize("line", [b"{", b"[]", b"{}", b"\xff", b"", b"null"], ids=repr)
def test_a_damaged_line_in_the_middle_is_named(tmp_path: Path, line: bytes) -> None:
    (tmp_path / journal.NAME).write_bytes(b'{"event":"a"}\n' + line + b'\n{"event":"b"}\n')
    with pytest.raises(RunError, match=r"line 2 of .*journal\.jsonl is (damaged|no event)") as caught:
        journal.read(tmp_path)
    assert caught.value.hint == "Take that line out to go on without it."


def test_a_folder_without_a_journal_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not the folder of a run"):
        journal.read(tmp_path)


def test_an_empty_journal_has_no_events(tmp_path: Path) -> None:
    Journal(tmp_path).close()
    assert journal.read(tmp_path) == []


HOLDER = """
import sys, time
from pathlib import Path
from harness.journal import Journal
book = Journal(Path(sys.argv[1]))
book.append("mine")
print("held", flush=True)
time.sleep(60)
"""


def test_a_second_controller_is_refused_until_the_first_is_killed(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        with pytest.raises(RunError, match="another controller is at work"):
            Journal(tmp_path)
        assert journal.read(tmp_path) == [{"event": "mine"}]  # reading needs no lock
        first.kill()
        first.wait()
        with Journal(tmp_path) as book:
            book.append("ours")
    assert journal.read(tmp_path) == [{"event": "mine"}, {"event": "ours"}]


WRITER = """
import sys
from pathlib import Path
from harness.journal import Journal
book = Journal(Path(sys.argv[1]))
print("go", flush=True)
for number in range(10**9):
    book.append("n", number=number, padding="x" * 500)
"""


def test_a_writer_that_is_killed_leaves_whole_events(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
        assert writer.stdout
        writer.stdout.readline()
        time.sleep(0.2)
        writer.kill()
    numbers = [event["number"] for event in journal.read(tmp_path)]
    assert len(numbers) > 1
    assert numbers == list(range(len(numbers)))


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        Journal(tmp_path / "nowhere")


FILLER = """
import resource, signal, sys
from pathlib import Path
from edgerig.errors import EdgerigError
from harness.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
book = Journal(Path(sys.argv[1]))
book.append("a")
resource.setrlimit(resource.RLIMIT_FSIZE, (45, resource.RLIM_INFINITY))
try:
    book.append("too long for what is left")
except EdgerigError as error:
    print(type(error).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
book.append("b")
"""


def test_half_a_line_is_taken_back_when_the_disk_refuses_the_rest(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FILLER, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    assert done == f"{OutputError.__name__}\n"
    assert (tmp_path / journal.NAME).read_bytes() == b'{"event":"a"}\n{"event":"b"}\n'


FULL = """
import os, sys
from pathlib import Path
from edgerig.errors import DiskFull
from harness import journal
folder = Path(sys.argv[1])
with journal.Journal(folder) as book:
    book.append("a")
    (folder / "ballast").write_bytes(bytes(os.statvfs(folder).f_bavail * os.statvfs(folder).f_bsize))
    try:
        book.append("b", text="x" * 10_000)
    except DiskFull as error:
        print(error.message)
    (folder / "ballast").unlink()
    book.append("c")
print([event["event"] for event in journal.read(folder)])
"""


def test_a_full_disk_is_told_and_costs_no_event(tmp_path: Path) -> None:
    said = disks.on_small_disk(FULL, tmp_path).splitlines()
    assert said == [f"the disk is full: {tmp_path}/journal.jsonl could not be written.", "['a', 'c']"]


def test_events_of_several_threads_do_not_mix(tmp_path: Path) -> None:
    with Journal(tmp_path) as book, ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda number: book.append("n", number=number, text="x" * 300), range(64)):
            pass
    lines = (tmp_path / journal.NAME).read_text().splitlines()
    assert sorted(json.loads(line)["number"] for line in lines) == list(range(64))
