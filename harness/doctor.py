"""Doctor: the real way to one frame, told step by step. Skipped is not passed, and offline is not absent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgerig.errors import EdgerigError, TargetHeld, TargetUnreachable
from harness import workflow
from harness.agent.protocol import JobResult
from harness.devices import provision, settings
from harness.devices.lease import Lease
from harness.devices.session import Session
from harness.measuring import measure
from harness.planning import method, plan
from harness.runtimes import RUNTIMES, reads, runtime_of
from harness.stock import bundle
from model_zoo import faceset, select
from model_zoo.manifest import Variant
from reports.records import Key
from targets import vitals
from targets.profile import Target
from targets.settings import Applied

Standing = Literal["ok", "warning", "failed", "skipped"]


@dataclass(frozen=True)
class Step:
    """One step of the way: what was found, and what to do where it is not ok."""

    target: str
    step: str
    standing: Standing
    found: str
    todo: str = ""


def examine(target: Target) -> Iterator[Step]:
    """Yield the steps to one frame on a target; those behind a failed one are skipped."""
    yield Step(target.name, "profile", "ok", f"{target.profile}, by {target.settings.transport}")
    try:
        lease = workflow.leased(target, "doctor")
    except EdgerigError as error:
        yield from _unusable(target, error)
        return
    with lease:
        yield Step(target.name, "lease", "ok", "nobody else is at work there")
        yield from _leased(target, lease)


def _leased(target: Target, lease: Lease) -> Iterator[Step]:
    said: list[Step] = []
    try:
        with settings.applied(target, lease, lambda *_, **__: None) as done:
            said += _settings(target, done)
    except EdgerigError as error:
        yield from _unusable(target, error)
        return
    yield from said
    try:
        session = workflow.open_session(target)
    except EdgerigError as error:
        yield from _unusable(target, error)
        return
    try:
        yield from _used(target, session)
    finally:
        session.close()


def _settings(target: Target, done: Applied) -> Iterator[Step]:
    """Yield what could be set; it is put back already."""
    if not done.settings:
        return
    found = ", ".join(f"{entry.name} {settings.words(entry, 'put back')}" for entry in done.settings)
    if not any(entry.problem for entry in done.settings):
        yield Step(target.name, "settings", "ok", found)
        return
    todo = f"A run goes on without; [targets.{target.name}.set] says what is wanted."
    if done.sudoers:
        todo = f"This line in /etc/sudoers.d/edgerig there allows it: {done.sudoers}"
    yield Step(target.name, "settings", "warning", found, todo)


def _unusable(target: Target, error: EdgerigError) -> Iterator[Step]:
    if isinstance(error, TargetHeld):
        yield Step(target.name, "lease", "failed", error.message, error.hint)
    else:
        standing = "offline" if isinstance(error, TargetUnreachable) else "refused"
        yield Step(target.name, "connect", "failed", f"{standing}: {error.message}", error.hint)
    for name in ("push", "one frame", "vitals"):
        yield Step(target.name, name, "skipped", "the device cannot be used")


def _used(target: Target, session: Session) -> Iterator[Step]:
    identity = session.identity
    cpu = f"{identity.cpu or identity.machine}, {identity.cores} cores"
    yield Step(target.name, "connect", "ok", ", ".join(filter(None, (f"{identity.hostname}: {cpu}", identity.os))))
    if session.found.settings:
        told = ", ".join(f"{name} {value}" for name, value in session.found.settings.items())
        yield Step(target.name, "found", "ok", told)
    packages = ", ".join(f"{name} {version}" for name, version in identity.packages.items())
    yield Step(target.name, "python", "ok", f"{identity.python}, {target.settings.environment}: {packages}")
    yield _runtimes(target, session)
    variants, faces = select.shipped(), faceset.load(faceset.SHIPPED).split("test")
    with tempfile.TemporaryDirectory() as folder:
        pack = faceset.pack(faces, Path(folder))
        try:
            wanted = {pack.sha256: pack.path} | {v.sha256: v.path for v in variants}
            sent = session.push(wanted)
            yield Step(target.name, "push", "ok", f"{sent / 1e6:.1f} MB sent, the rest was there")
        except EdgerigError as error:
            yield Step(target.name, "push", "failed", error.message, error.hint)
            return
        picture = pack.sha256, faces.faces[0].path
        yield from _frames(target, session, variants, picture)


def _runtimes(target: Target, session: Session) -> Step:
    """Return which runtimes the device has, with their versions, and how it gets the others."""
    had, absent = [], []
    for name, runtime in RUNTIMES.items():
        versions = [f"{name} {version}" for version in _versions(name, session)]
        had += versions
        absent += [name] if runtime.packages and not versions else []
    had += [spec for spec in target.settings.runtimes if runtime_of(spec).version and spec not in session.refused]
    found = ", ".join(had) or "none"
    found += f"; not there: {', '.join(absent)}" if absent else ""
    if session.refused:
        why = " ".join(f"{spec}: {reason}" for spec, reason in session.refused.items())
        return Step(target.name, "runtimes", "failed", found, why)
    return Step(target.name, "runtimes", "ok", found, _to_have(absent, target, session))


def _to_have(absent: Sequence[str], target: Target, session: Session) -> str:
    """Return how a device gets the runtimes that it has not."""
    if not absent:
        return ""
    if target.settings.environment == "bundle":
        return f"For their formats: {bundle.command(session.identity.machine, absent)}"
    if target.settings.environment == "venv":
        return "A run that needs one of those sends it there."
    machine = session.identity.machine
    packages = [f"'{package}'" for name in absent for package in RUNTIMES[name].packages_on(machine)]
    return f"For their formats, there: {session.identity.python_executable} -m pip install {' '.join(packages)}"


def _versions(name: str, session: Session) -> list[str]:
    """Return the installed versions of a runtime: one, or none."""
    packages = session.identity.packages
    return [packages[module] for module in RUNTIMES[name].modules if module in packages][:1]


def _specs(target: Target, session: Session) -> list[str]:
    """Return the runtimes to try: those that the target is said to have, else what is installed and ONNX Runtime."""
    if target.settings.runtimes:
        return [spec for spec in dict.fromkeys(target.settings.runtimes) if spec not in session.refused]
    return [name for name in RUNTIMES if name in provision.DEFAULT or _versions(name, session)]


def _frames(target: Target, session: Session, variants: Sequence[Variant], picture: tuple[str, str]) -> Iterator[Step]:
    """Yield one frame of each runtime that reads a shipped variant, and what the sensors say meanwhile."""
    last = None
    for spec in _specs(target, session):
        variant = next((variant for variant in variants if reads(runtime_of(spec).name, variant.format)), None)
        if variant:
            step, result = _one_frame(target, session, variant, spec, picture)
            yield step
            last = result or last
    if last:
        yield _vitals(target, last)


def _one_frame(
    target: Target, session: Session, variant: Variant, spec: str, picture: tuple[str, str]
) -> tuple[Step, JobResult | None]:
    name, runtime = f"one frame, {spec}", runtime_of(spec).name
    try:
        result = _checked(target, session, variant, spec, picture)
    except EdgerigError as error:
        return Step(target.name, name, "failed", error.message, error.hint), None
    if result.outcome != "ok":
        packages = " ".join(RUNTIMES[runtime].packages_on(session.identity.machine))
        todo = f"Is {packages} installed for the device's Python?"
        return Step(target.name, name, "failed", result.reason, todo), None
    facts, took = result.facts, result.times_ns.get("first_frame", 0) / 1e6
    ran = [f"{runtime} {facts.get('runtime_version', '')}", facts.get("provider", ""), facts.get("precision", "")]
    return Step(target.name, name, "ok", f"{variant.name} in {took:.1f} ms, {', '.join(ran)}"), result


def _checked(target: Target, session: Session, variant: Variant, runtime: str, picture: tuple[str, str]) -> JobResult:
    key = Key(variant=variant.name, target=target.name, runtime=runtime, provider="cpu", threads=1)
    job = measure.job_for(
        target,
        plan.planned_variant(variant),
        key,
        "latency",
        command=session.command(runtime),
        faces=picture[0],
        images=[picture[1]],
        warmup_frames=1,
        warmup_s=0.0,
        min_frames=method.MEMORY_FRAMES,
        min_s=0.0,
    )
    result = session.run(job)
    session.forget(job)
    return result


def _vitals(target: Target, result: JobResult) -> Step:
    if target.settings.emulator:
        return Step(
            target.name, "vitals", "ok", "an emulator has neither clock nor heat: its times are marked emulated"
        )
    parsers = {name: vital.parser for name, vital in target.settings.vitals.items()}
    texts = result.vitals[0].texts if result.vitals else {}
    reading = vitals.parsed(texts, parsers)
    told = ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in reading.items()
    )
    blind = [what for what, key in (("clock", "clock_mhz"), ("heat", "temperature_c")) if key not in reading]
    if blind:
        found = f"{' and '.join(blind)} cannot be read ({told})"
        todo = "Times there will be marked unwatched; virtual machines seldom show either."
        return Step(target.name, "vitals", "warning", found, todo)
    return Step(target.name, "vitals", "ok", told)
