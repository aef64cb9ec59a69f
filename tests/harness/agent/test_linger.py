"""A controller that vanishes during a job: gone for good, or back for the result."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from harness.agent.protocol import Job
from tests.harness.agent.client import ANSWER_S, Client, result_of
from tests.harness.agent.conftest import JobMaker


@pytest.fixture
def lingering(tmp_path: Path) -> Iterator[Client]:
    """An agent whose controller may come back within a minute."""
    client = Client(tmp_path, linger_s=60)
    client.ask("hello")
    yield client
    client.close()


def slow(client: Client, job_for: JobMaker) -> Job:
    """Return a job of 1.2 s."""
    return job_for(client, "accuracy", client.put_script(latency_ms=200, wait="sleep"))


def result_file(client: Client, job: Job) -> Path:
    return client.root / "spool" / job.token / "result.json"


def gone(process: psutil.Process) -> bool:
    end = time.monotonic() + 5
    while process.is_running() and time.monotonic() < end:
        time.sleep(0.02)
    return not process.is_running()


def test_a_job_is_finished_for_who_may_come_back(lingering: Client, job_for: JobMaker, tmp_path: Path) -> None:
    job = slow(lingering, job_for)
    lingering.say("job", job)
    child = lingering.child()
    assert lingering.leave() == 0
    assert not child.is_running()
    assert result_file(lingering, job).exists()
    second = Client(tmp_path)
    assert result_of(second.ask("collect", {"token": job.token})).outcome == "ok"
    second.ask("forget", {"token": job.token})
    assert second.ask("collect", {"token": job.token}).kind == "unknown"
    second.close()


def test_collecting_waits_for_a_job_that_still_runs(lingering: Client, job_for: JobMaker, tmp_path: Path) -> None:
    job = slow(lingering, job_for)
    lingering.say("job", job)
    lingering.child()
    second = Client(tmp_path)
    assert "under way" in second.ask("job", job).body["message"]
    answer = second.ask("collect", {"token": job.token})
    assert result_of(answer) == result_of(lingering.hear())
    assert {entry["phase"] for entry in second.progress} == {"elsewhere"}
    assert not (result_file(lingering, job).with_name("lock")).exists()
    second.close()


def test_a_farewell_ends_a_lingering_agent_at_once(lingering: Client, job_for: JobMaker) -> None:
    job = slow(lingering, job_for)
    lingering.say("job", job)
    child = lingering.child()
    lingering.say("bye")
    assert lingering.leave() == 0
    assert gone(child)
    assert not result_file(lingering, job).exists()


def test_without_the_option_the_job_ends_with_the_controller(agent: Client, job_for: JobMaker) -> None:
    job = slow(agent, job_for)
    agent.say("job", job)
    child = agent.child()
    assert agent.leave() == 0
    assert gone(child)
    assert not result_file(agent, job).exists()


def test_nobody_is_waited_for_longer_than_was_said(tmp_path: Path, job_for: JobMaker) -> None:
    client = Client(tmp_path, linger_s=1)
    client.ask("hello")
    job = job_for(client, "accuracy", client.put_script(latency_ms=20_000, wait="sleep"))
    client.say("job", job)
    child = client.child()
    start = time.monotonic()
    assert client.leave() == 0
    assert 0.9 < time.monotonic() - start < 5
    assert gone(child)
    assert not result_file(client, job).exists()
    client.close()


def test_who_is_waited_for_is_measured_to_the_end(tmp_path: Path, job_for: JobMaker) -> None:
    client = Client(tmp_path, linger_s=1)
    client.ask("hello")
    job = job_for(client, "accuracy", client.put_script(latency_ms=400, wait="sleep"))  # 2.4 s
    client.say("job", job)
    client.child()
    second = Client(tmp_path)
    number = second.say("collect", {"token": job.token})
    assert client.leave() == 0
    answer = second.hear()
    assert (answer.id, result_of(answer).outcome) == (number, "ok")
    client.close()
    second.close()


def test_a_job_whose_agent_died_is_unknown(lingering: Client, job_for: JobMaker, tmp_path: Path) -> None:
    job = slow(lingering, job_for)
    lingering.say("job", job)
    lingering.child()
    lingering.process.kill()
    lingering.process.wait(ANSWER_S)
    second = Client(tmp_path)
    assert second.ask("collect", {"token": job.token}).kind == "unknown"
    assert second.run(job).outcome == "ok"
    second.close()


def test_who_waits_no_more_is_let_go(lingering: Client, job_for: JobMaker, tmp_path: Path) -> None:
    job = slow(lingering, job_for)
    lingering.say("job", job)
    lingering.child()
    second = Client(tmp_path)
    second.say("collect", {"token": job.token})
    assert second.leave() == 0
    assert not result_file(lingering, job).exists()
    second.close()


@pytest.mark.parametrize("words", [["--linger"], ["--linger", "soon"], ["--linger", "1", "2"], ["--stay", "1"]])
def test_what_is_no_number_of_seconds_is_refused(words: list[str], shared: Client, tmp_path: Path) -> None:
    argv = psutil.Process(shared.process.pid).cmdline()[:2]
    done = subprocess.run([*argv, "--root", str(tmp_path), *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage:")
