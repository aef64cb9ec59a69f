from __future__ import annotations

import signal
import sys
import time
from pathlib import Path

import psutil
import pytest

from harness.agent.protocol import Vital
from tests.harness.agent.client import Client, result_of
from tests.harness.agent.conftest import JobMaker

HANG = {"how": "hang", "at": "frame"}


def gone(process: psutil.Process, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
            return True
        time.sleep(0.01)
    return False


@pytest.fixture
def hanging(agent: Client, job_for: JobMaker) -> psutil.Process:
    """The child of a job that never ends."""
    agent.say("job", job_for(agent, "check", agent.put_script(fail=HANG)))
    return agent.child()


def test_the_end_of_stdin_ends_the_child(agent: Client, hanging: psutil.Process) -> None:
    assert agent.leave() == 0
    assert not hanging.is_running()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_child(agent: Client, hanging: psutil.Process, number: signal.Signals, status: int) -> None:
    agent.process.send_signal(number)
    assert agent.process.wait(10) == status
    assert not hanging.is_running()


def test_the_child_does_not_outlive_an_agent_that_is_killed(agent: Client, hanging: psutil.Process) -> None:
    agent.process.kill()
    agent.process.wait(10)
    assert gone(hanging)


def test_what_the_child_started_ends_with_it(agent: Client, job_for: JobMaker) -> None:
    # The launcher leaves a process behind that would hold the pipe open for a minute.
    job = job_for(agent, "check", agent.put_script(), command=["sh", "-c", 'sleep 61 & exec "$0" "$@"', sys.executable])
    begin = time.monotonic()
    assert agent.run(job).outcome == "ok"
    assert time.monotonic() - begin < 10
    assert not [entry for entry in psutil.process_iter(["cmdline"]) if entry.info["cmdline"] == ["sleep", "61"]]


def test_progress_is_told_while_a_job_runs(agent: Client, job_for: JobMaker) -> None:
    script = agent.put_script(latency_ms=400, wait="sleep")
    agent.run(job_for(agent, "accuracy", script))
    assert agent.progress
    assert {(entry["phase"], entry["total"]) for entry in agent.progress} == {("accuracy", 6)}
    assert [entry["done"] for entry in agent.progress] == sorted(entry["done"] for entry in agent.progress)


def test_a_result_can_be_collected_until_it_is_forgotten(shared: Client, job_for: JobMaker) -> None:
    job = job_for(shared, "accuracy", shared.put_script())
    token = {"token": job.token}
    assert shared.ask("collect", token).kind == "unknown"
    result = shared.run(job)
    again = shared.ask("collect", token)
    assert (again.kind, result_of(again)) == ("result", result)
    twice = shared.ask("job", job)
    assert twice.kind == "error"
    assert "has been done" in twice.body["message"]
    assert shared.ask("forget", token).kind == "forgotten"
    assert shared.ask("forget", token).kind == "forgotten"
    assert shared.ask("collect", token).kind == "unknown"
    assert not (shared.root / "spool" / job.token).exists()


def test_a_result_outlives_the_agent(tmp_path: Path, job_for: JobMaker) -> None:
    first = Client(tmp_path)
    first.ask("hello")
    job = job_for(first, "check", first.put_script())
    result = first.run(job)
    first.close()
    second = Client(tmp_path)
    assert result_of(second.ask("collect", {"token": job.token})) == result
    second.close()


def test_vitals_before_during_and_after(shared: Client, job_for: JobMaker, tmp_path: Path) -> None:
    (tmp_path / "zone0").write_text("41000\n")
    (tmp_path / "zone1").write_text("x" * 10_000)
    wanted = [
        Vital("one", file=str(tmp_path / "zone0")),
        Vital("zones", file=str(tmp_path / "zone*")),
        Vital("absent", file=str(tmp_path / "none")),
        Vital("said", command=["echo", "cool"]),
        Vital("endless", command=["yes"]),
        Vital("nobody", command=["no-such-command"]),
    ]
    script = shared.put_script(latency_ms=200, wait="sleep")
    result = shared.run(job_for(shared, "accuracy", script, vitals=wanted))
    moments = [sample.when for sample in result.vitals]
    assert moments == ["before", "during", "after"]
    for sample in result.vitals:
        texts = sample.texts
        assert texts["one"] == "41000\n"
        assert texts["said"] == "cool\n"
        assert len(texts[f"zones:{tmp_path}/zone1"]) == 4096
        assert len(texts["endless"]) == 4096
        assert set(texts) == {"one", "said", "endless", f"zones:{tmp_path}/zone0", f"zones:{tmp_path}/zone1"}
