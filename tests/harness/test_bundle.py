"""Which bundle a target gets, and what is said where there is none; what is in one is in tests/devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgerig import process
from edgerig.errors import ConfigError, HostError, ProcessFailed, TargetRefused
from harness.devices import provision
from harness.stock import archive, bundle, debian
from harness.stock.bundle import Bundle, Contents, Package
from targets import profile
from targets.local import LocalTransport
from tests.harness.command import Workplace
from tests.needs import require

LITERT = "ai-edge-litert"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder of bundles, the one that targets look in."""
    monkeypatch.setenv("EDGERIG_BUNDLES", str(tmp_path / "bundles"))
    (tmp_path / "bundles").mkdir()
    return tmp_path / "bundles"


def made(folder: Path, *runtimes: str, version: str = "1.31.1", built: str = "2026-01-01") -> Bundle:
    """Write a bundle that holds no more than a note, and return it."""
    content = folder.parent / "-".join((*runtimes, built)).replace("=", "")
    content.mkdir()
    (content / "note").write_text(f"{runtimes} {built}")
    names = {"onnxruntime": "onnxruntime", "tflite": LITERT}
    packages = [
        Package(kind="wheel", name=names[spec.split("=")[0]], version=version, sha256="0" * 64, licence="MIT")
        for spec in runtimes
    ]
    part = folder / "part"
    sha256 = archive.pack(content, part)
    held = Bundle(
        sha256=sha256,
        archive_sha256=sha256,
        bytes=1,
        unpacked_bytes=1,
        built=built,
        contents=Contents(
            recipe=1,
            machine="aarch64",
            python="3.11",
            glibc="2.36",
            debian="bookworm",
            runtimes=runtimes,
            packages=tuple(packages),
        ),
    )
    part.rename(folder / f"{held.name}.tar.gz")
    (folder / f"{held.name}.json").write_text(held.model_dump_json())
    return Bundle.read(folder / f"{held.name}.json")


def test_the_newest_that_holds_what_is_wanted_is_taken(folder: Path) -> None:
    made(folder, "onnxruntime", built="2026-01-01")
    both = made(folder, "onnxruntime", "tflite", built="2026-01-02")
    newest = made(folder, "onnxruntime", built="2026-01-03")
    assert bundle.newest("aarch64") == newest
    assert bundle.newest("aarch64", ["tflite"]) == both
    assert bundle.best("aarch64", ["onnxruntime"]) == newest
    assert bundle.best("aarch64", ["onnxruntime", "tflite"]) == both
    assert bundle.best("aarch64", []) == both  # what nobody asked for may be wanted


def test_a_version_is_found_also_where_it_was_just_the_newest(folder: Path) -> None:
    held = made(folder, "onnxruntime", version="1.31.1")
    assert [held.has(spec) for spec in ("onnxruntime", "onnxruntime==1.31.1", "onnxruntime==1.23.2", "tflite")] == [
        *(True, True, False, False),
    ]
    old = made(folder, "onnxruntime==1.23.2", version="1.23.2", built="2026-02-02")
    assert bundle.newest("aarch64", ["onnxruntime==1.23.2"]) == old
    assert bundle.newest("aarch64", ["onnxruntime"]) == held  # not the old one, which is newer here


def test_without_one_the_command_that_builds_it_is_named(folder: Path) -> None:
    made(folder, "onnxruntime")
    with pytest.raises(TargetRefused) as none:
        bundle.newest("aarch64", ["tflite"])
    assert (none.value.message, none.value.hint) == (
        "there is no bundle here for aarch64 with tflite.",
        "Build one: edgerig bundle build --runtimes tflite",
    )
    with pytest.raises(TargetRefused, match="no bundle here for x86_64"):
        bundle.best("x86_64", [])


def test_a_bundle_that_lost_its_file_is_none(folder: Path) -> None:
    made(folder, "onnxruntime").path.unlink()
    assert bundle.found(folder) == []


def test_an_index_that_is_damaged_is_named(folder: Path) -> None:
    (folder / "edgerig-bundle-x.json").write_text("{}")
    with pytest.raises(HostError, match=r"edgerig-bundle-x\.json is no bundle's"):
        bundle.found(folder)


def test_a_file_that_changed_since_is_never_sent(folder: Path, tmp_path: Path) -> None:
    made(folder, "onnxruntime")  # whose archive is not of the digest that its index says
    box = profile.resolve("box", {"box": {"architecture": "aarch64", "environment": "bundle"}})
    device = LocalTransport(tmp_path / "device")
    with pytest.raises(HostError, match="has changed since it was built"):
        provision.ensure(box, device)
    assert not list(Path(device.root).rglob("*.tar.gz"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--arch", "aarch46"], "Did you mean 'aarch64'?"),
        (["--runtimes", "onnxruntim"], "Did you mean 'onnxruntime'?"),
    ],
)
def test_what_cannot_be_built_is_wrong_usage(workplace: Workplace, words: list[str], said: str) -> None:
    assert said in workplace.run("bundle", "build", *words, code=2).stderr


def test_a_mirror_that_does_not_answer_is_named_with_what_to_do(workplace: Workplace) -> None:
    require("apt-get", "apt is missing")
    done = workplace.run("bundle", "build", "--mirror", "http://127.0.0.1:9/debian", code=4)
    assert "cannot be had from http://127.0.0.1:9/debian" in done.stderr
    assert "--mirror URL" in done.stderr


def test_a_package_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require("apt-get", "apt is missing")

    def fail(argv: list[str], **_: object) -> str:
        if "download" not in argv:
            return ""
        raise ProcessFailed(argv, 100, "", "W: noise\nE: Unable to locate package libmissing")

    monkeypatch.setenv("EDGERIG_CACHE", str(tmp_path))
    monkeypatch.setattr(process, "run", fail)
    with pytest.raises(HostError, match="libmissing cannot be had from Debian's bookworm: Unable to locate"):
        debian.fetch(["libmissing"], "aarch64")


def test_a_machine_that_debian_has_not() -> None:
    with pytest.raises(HostError, match="'riscv128'"):
        debian.fetch(["libc6"], "riscv128")
    with pytest.raises(ConfigError, match="not built for"):
        bundle.build("riscv128", ["onnxruntime"], Path("nowhere"))
