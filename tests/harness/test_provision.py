"""Environments made from wheels that the controller sends: tiny ones, made here, found by pip in a folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgerig import process
from edgerig.deadline import Deadline
from edgerig.errors import HostError, ProcessFailed, ProtocolError, TargetFull, TargetRefused
from harness.devices import provision
from harness.devices.provision import ensure, requirements
from harness.stock import wheels
from harness.stock.wheels import Facts, platforms, wheelhouse
from targets import environment, profile, shell
from targets.fake import FakeTransport, Fault
from targets.local import LocalTransport
from targets.profile import Target
from targets.transport import Transport
from tests.harness.command import Workplace
from tests.support.disks import on_small_disk
from tests.support.wheels import wheel

NAMES = ("numpy", "opencv-python-headless", "onnxruntime")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of wheels that pip finds, and nothing else."""
    folder = tmp_path / "index"
    for name in NAMES:
        wheel(folder, name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def target() -> Target:
    return profile.resolve("box", {"box": {"architecture": "", "environment": "venv"}})


@pytest.fixture
def device(tmp_path: Path) -> Transport:
    return LocalTransport(tmp_path / "device")


def facts(**changed: object) -> Facts:
    made = {"python": (3, 11), "implementation": "cpython", "machine": "aarch64", "libc": ("glibc", "2.31")}
    return Facts.model_validate({**made, "venv": True, "executable": "/usr/bin/python3", **changed})


def python_says(transport: Transport, python: str, program: str) -> str:
    argv = [python, "-c", program]
    done = shell.run(transport, argv, Deadline(30))
    assert done.status == 0, done.err
    return done.out.strip()


def test_an_environment_is_made_from_wheels_and_used_again(index: Path, target: Target, device: Transport) -> None:
    made = ensure(target, device)
    assert (made.environment, made.reused, made.sent_bytes > 0) == ("venv", False, True)
    assert len(made.packages) == 3
    program = "import sys, numpy; print(numpy.version, sys.prefix)"
    version, prefix = python_says(device, made.python, program).split()
    assert (version, prefix.startswith(device.root)) == ("1.0", True)
    again = ensure(target, device)
    assert (again.python, again.reused, again.sent_bytes) == (made.python, True, 0)


def test_packages_are_known_by_their_versions(index: Path, target: Target, device: Transport) -> None:
    program = "from importlib import metadata; print(metadata.version('onnxruntime'))"
    assert python_says(device, ensure(target, device).python, program) == "1.0"


def test_modules_are_compiled_before_they_are_measured(index: Path, target: Target, device: Transport) -> None:
    ensure(target, device)
    compiled = f"numpy.{sys.implementation.cache_tag}.pyc"
    assert list(Path(device.root).glob(f"venvs/*/lib/*/site-packages/__pycache__/{compiled}"))


def test_what_was_found_is_kept_until_fresh_packages_are_asked_for(
    index: Path, target: Target, device: Transport
) -> None:
    first = ensure(target, device)
    wheel(index, "numpy", "2.0")
    assert ensure(target, device).python == first.python
    second = ensure(target, device, fresh=True)
    assert (second.python != first.python, second.reused) == (True, False)
    assert python_says(device, second.python, "import numpy; print(numpy.version)") == "2.0"
    assert ensure(target, device).python == second.python


def test_the_same_wheels_are_the_same_archive(index: Path) -> None:
    first = wheelhouse(facts(), list(NAMES)).read_bytes()
    assert wheelhouse(facts(), list(NAMES), fresh=True).read_bytes() == first


def test_what_is_on_the_device_is_not_sent_again(index: Path, target: Target, device: Transport) -> None:
    made = ensure(target, device)
    Path(device.root, "venvs").rename(Path(device.root, "gone"))
    again = ensure(target, device)
    assert (again.sent_bytes, again.reused, again.python) == (0, False, made.python)


def test_an_archive_that_was_damaged_there_is_sent_again(index: Path, target: Target, device: Transport) -> None:
    ensure(target, device)
    Path(device.root, "venvs").rename(Path(device.root, "gone"))
    archive = next(Path(device.root, "wheels").iterdir())
    archive.write_bytes(b"damaged")
    assert ensure(target, device).sent_bytes == archive.stat().st_size


def test_an_environment_that_was_cut_off_is_made_again(index: Path, target: Target, device: Transport) -> None:
    made = ensure(target, device)
    mark = next(Path(device.root).glob("venvs/*/edgerig.json"))
    mark.unlink()
    assert not ensure(target, device).reused
    mark.write_text(json.dumps({"sha256": "of another"}))
    assert ensure(target, device).python == made.python


def test_files_of_a_wheels_data_go_where_they_belong(index: Path, target: Target, device: Transport) -> None:
    wheel(index, "numpy", "3.0", **{"numpy-3.0.data/purelib/extra.py": "x = 7\n", "numpy-3.0.data/scripts/tool": "no"})
    assert python_says(device, ensure(target, device).python, "import extra; print(extra.x)") == "7"
    assert not list(Path(device.root).glob("venvs/**/tool"))


@pytest.mark.parametrize("member", ["../../../../../outside.py", "numpy-4.0.data/data/../../../../out.py"])
def test_a_wheel_cannot_write_outside(
    index: Path, target: Target, device: Transport, tmp_path: Path, member: str
) -> None:
    wheel(index, "numpy", "4.0", **{member: "bad"})
    with pytest.raises(TargetRefused, match="outside of the environment"):
        ensure(target, device)
    assert not list(tmp_path.rglob("out*.py"))
    assert not list(Path(device.root).glob("venvs/*"))


def test_the_system_python_is_taken_as_it_is(device: Transport) -> None:
    plain = profile.resolve("here", {"here": {"architecture": ""}})
    assert ensure(plain, device) == provision.Provisioned((sys.executable,), "system")


# -- what does not work is said


def test_a_package_without_a_wheel_for_that_python_is_named(index: Path) -> None:
    next(index.glob("onnxruntime*")).unlink()
    wheel(index, "onnxruntime", tag="cp39-cp39-manylinux_2_17_aarch64")
    with pytest.raises(TargetRefused, match=r"no wheel of onnxruntime for Python 3.11 on aarch64 with glibc 2.31"):
        wheelhouse(facts(), list(NAMES))


def test_wheels_are_found_for_the_device_and_not_for_this_machine(index: Path) -> None:
    for tag in ("2_28_aarch64", "2_31_x86_64", "2_35_aarch64"):
        wheel(index, "numpy", "9.0", f"cp311-cp311-manylinux_{tag}")
    found = list(wheels.wheels_of(wheelhouse(facts(), list(NAMES))))
    assert [name for name in found if name.startswith("numpy")] == ["numpy-9.0-cp311-cp311-manylinux_2_28_aarch64.whl"]


@pytest.mark.parametrize(
    ("machine", "libc", "first", "last", "holds"),
    [
        ("aarch64", "2.31", "manylinux_2_31_aarch64", "linux_aarch64", "manylinux2014_aarch64"),
        ("x86_64", "2.17", "manylinux_2_17_x86_64", "linux_x86_64", "manylinux1_x86_64"),
        ("x86_64", "2.36", "manylinux_2_36_x86_64", "linux_x86_64", "manylinux_2_5_x86_64"),
        ("armv7l", "2.36", "manylinux_2_36_armv7l", "linux_armv7l", "manylinux_2_17_armv7l"),
    ],
)
def test_every_platform_that_fits_is_named(machine: str, libc: str, first: str, last: str, holds: str) -> None:
    tags = platforms(facts(machine=machine, libc=("glibc", libc)))
    assert (tags[0], tags[-1], holds in tags) == (first, last, True)
    assert not any(f"manylinux_2_{int(libc[2:]) + 1}_" in tag for tag in tags)


def test_runtimes_decide_what_is_needed() -> None:
    assert requirements(["null"], "aarch64") == list(wheels.ALWAYS)
    assert requirements(["onnxruntime", "tflite"], "aarch64")[-2:] == ["onnxruntime", "ai-edge-litert"]
    assert requirements(["tflite"], "armv7l")[-2:] == ["tflite-runtime", "numpy<2"]


def test_a_version_has_an_environment_of_its_own(index: Path, device: Transport) -> None:
    wheel(index, "onnxruntime", "2.0")
    specs = ["onnxruntime==1.0", "onnxruntime==2.0"]
    box = profile.resolve("box", {"box": {"architecture": "", "runtimes": specs}})
    ready = ensure(box, device)
    assert (ready.command, ready.environment, ready.refused) == ((sys.executable,), "system", {})
    assert list(ready.commands) == specs
    for spec, made in ready.own.items():
        program = "import onnxruntime; print(onnxruntime.version)"
        assert python_says(device, made.python, program) == spec.partition("==")[2]
    assert ensure(box, device, wanted=["onnxruntime"]).own == {}  # what a run does not need is not made


def test_a_version_that_is_nowhere_is_refused_and_the_others_go_on(index: Path, device: Transport) -> None:
    box = profile.resolve("box", {"box": {"architecture": "", "environment": "venv"}})
    ready = ensure(box, device, wanted=["onnxruntime==1.0", "onnxruntime==7", "null==1"])
    assert list(ready.own) == ["onnxruntime==1.0"]
    assert "there is no wheel of onnxruntime==7 for Python" in ready.refused["onnxruntime==7"]
    assert "The newest versions that have one: 1.0." in ready.refused["onnxruntime==7"]
    assert ready.refused["null==1"] == "the runtime null is no package, and has no versions."


def test_runtimes_that_have_no_wheel_leave_the_environment_to_the_others(
    index: Path, target: Target, device: Transport
) -> None:
    wheel(index, "ai-edge-litert", tag="cp39-cp39-manylinux_2_17_aarch64")
    ready = ensure(target, device, wanted=["onnxruntime", "tflite"])
    assert list(ready.refused) == ["tflite"]
    assert "there is no wheel of ai-edge-litert for Python" in ready.refused["tflite"]
    assert any(name.startswith("onnxruntime") for name in ready.packages)


def test_a_device_for_which_there_is_no_opencv_does_without(index: Path, target: Target, device: Transport) -> None:
    next(index.glob("opencv*")).unlink()
    assert [name.partition("-")[0] for name in ensure(target, device).packages] == ["numpy", "onnxruntime"]
    next(index.glob("numpy*")).unlink()
    with pytest.raises(TargetRefused, match="no wheel of numpy"):
        ensure(target, device, fresh=True)


def fake_python(folder: Path, script: str) -> str:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("script", "kind", "words"),
    [
        ("exit 127", TargetRefused, "no Python that starts as"),
        ("echo Welcome", ProtocolError, "said 'Welcome"),
        (facts(venv=False).model_dump_json(), TargetRefused, "Python 3.11 on box has no venv module"),
        (facts(libc=("", "")).model_dump_json(), TargetRefused, "wheels are found for glibc alone"),
        (facts(libc=("glibc", "2.1'; rm")).model_dump_json(), TargetRefused, "wheels are found for glibc alone"),
    ],
    ids=["none", "banner", "no venv", "musl", "no version"],
)
def test_a_python_that_cannot_have_an_environment(
    device: Transport, tmp_path: Path, script: str, kind: type[Exception], words: str
) -> None:
    if script.startswith("{"):
        (tmp_path / "facts").write_text(script)
        script = f"cat {tmp_path / 'facts'}"
    box = profile.resolve("box", {"box": {"environment": "venv", "python": fake_python(tmp_path, script)}})
    with pytest.raises(kind, match=words):
        ensure(box, device)


def test_a_python_that_is_missing(device: Transport) -> None:
    box = profile.resolve("box", {"box": {"environment": "venv", "python": "no-such-python"}})
    with pytest.raises(TargetRefused, match="no Python that starts as no-such-python"):
        ensure(box, device)


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("/usr/bin/python3: No module named pip", HostError, "has no pip"),
        (
            "Retrying: connection broken\nERROR: No matching distribution found for numpy",
            HostError,
            "pip could",
        ),
        ("ERROR: No matching distribution found for numpy", TargetRefused, "no wheel of numpy"),
        ("", HostError, "it said nothing"),
    ],
)
def test_what_pip_complains_of_is_told(
    index: Path, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[Exception], words: str
) -> None:
    def fail(argv: list[str], **_: object) -> str:
        raise ProcessFailed(argv, 1, "", said)

    monkeypatch.setattr(process, "run", fail)
    with pytest.raises(kind, match=words):
        wheelhouse(facts(), ["numpy"])
    assert not list((index.parent / "cache" / "wheels").iterdir())


def test_a_device_that_is_full_when_wheels_are_sent(index: Path, target: Target, device: Transport) -> None:
    full = FakeTransport(device, [Fault.model_validate({"on": "put", "kind": "full"})])
    with pytest.raises(TargetFull):
        ensure(target, full)


def test_a_device_that_is_full_when_wheels_are_unpacked(
    index: Path, target: Target, device: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "INSTALL", 'print(\'{"error": "full", "message": "No space left"}\')')
    with pytest.raises(TargetFull, match="no space is left on box"):
        ensure(target, device)


FILLED = """
import shutil, sys
from pathlib import Path
from edgerig.errors import TargetFull
from harness.devices import provision
from targets import profile
from targets.local import LocalTransport
root = Path(sys.argv[1])
target = profile.resolve("box", {"box": {"architecture": "", "environment": "venv"}})
try:
    provision.ensure(target, LocalTransport(root))
except TargetFull as error:
    print(error.message)
print(list((root / "venvs").iterdir()))
"""


def test_a_disk_that_is_really_full_leaves_no_half_environment(index: Path, tmp_path: Path) -> None:
    wheel(index, "numpy", "5.0", **{"big.txt": "x" * 200_000})
    (tmp_path / "disk").mkdir()
    said = on_small_disk(FILLED, tmp_path / "disk", 300).splitlines()
    assert "no space is left on box" in said[0]
    assert said[1] == "[]"


def test_provisioning_is_a_command(index: Path, workplace: Workplace) -> None:
    (workplace.folder / "edgerig.toml").write_text('[targets.box]\narchitecture = ""\nenvironment = "venv"\n')
    row = workplace.json("provision", "box")[0]
    assert (row["environment"], row["reused"], row["sent_bytes"] > 0) == ("venv", False, True)
    assert Path(row["python"]).exists()
    assert "box: venv, as it was" in workplace.run("provision", "box").stdout


def test_the_command_shows_each_version(index: Path, workplace: Workplace) -> None:
    runtimes = '["onnxruntime==1.0", "onnxruntime==7"]'
    (workplace.folder / "edgerig.toml").write_text(f'[targets.box]\narchitecture = ""\nruntimes = {runtimes}\n')
    done = workplace.run("provision", "box", code=3)
    assert done.stdout.startswith("box: system, as it was\nbox: onnxruntime==1.0, made, ")
    assert "box: onnxruntime==7: there is no wheel of onnxruntime==7" in done.stderr
