"""What all passes share: the job, the model under the clock, the pictures, and the findings."""

from __future__ import annotations

import hashlib
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Sequence

import numpy as np
from edgerig.preprocess import InputSpec, OutputSpec, Preprocessor, postprocess

from harness.agent import engines, memory, runtimes
from harness.agent.decoder import Decoder, Pack
from harness.agent.failures import FailedError, UnsupportedError
from harness.agent.frame import Stages
from harness.agent.manifest import check_input, check_output, named_first, real
from harness.agent.progress import ProgressFile
from harness.agent.protocol import ArrayFile, Job
from harness.agent.runtimes.base import LoadRequest, Ran, Runtime, Session

Array = Any
HELD_BYTES = 64 << 20  # of pictures that wait in memory to be fed: 60,000 faces, or 24 raw frames of 720p


class Bench:
    """One measurement under way.

    Args:
        job: what is asked for.
        folder: its spool folder.

    Attributes:
        findings: fields of the JobResult, as they become known.
        answer: how the answer is read, once the model is there to say what its levels mean.
    """

    def __init__(self, job: Job, folder: Path) -> None:
        self.job = job
        self.folder = folder
        self.progress = ProgressFile(folder)
        self.findings: dict[str, Any] = {"facts": {}, "times_ns": {}, "memory_mb": {}, "arrays": []}
        self.answer = job.output or OutputSpec()
        self._decoder: Decoder | None = None
        self._pack: Pack | None = None

    @property
    def facts(self) -> dict[str, str]:
        """What really ran, so far."""
        facts: dict[str, str] = self.findings["facts"]
        return facts

    def reached(self, phase: str) -> None:
        """Take down the memory held now, in the pass that measures it."""
        self.progress.phase(phase)
        if self.job.kind == "memory":
            self.findings["memory_mb"][phase] = memory.reading()

    def load(self) -> Session:
        """Import the runtime and load the model, both under the clock; raises OutcomeError."""
        job = self.job
        begin = time.perf_counter_ns()
        runtime = runtimes.runtime(job.runtime)
        self.took("import", begin)
        self.reached("runtime_imported")
        main = self.folder / "model" / job.model[0].name
        if main.suffix not in runtime.FORMATS:
            raise UnsupportedError(f"{job.runtime} reads {' and '.join(runtime.FORMATS)}, not {main.name}")
        request = LoadRequest(
            main,
            job.provider,
            job.threads,
            job.options,
            job.kind == "profile",
            self.folder,
            job.input.shape if job.input else None,
            job.allow_fallback,
            self.engine(runtime) if job.engines else None,
        )
        begin = time.perf_counter_ns()
        session = runtime.load(request)
        self.took("load", begin)
        self.reached("model_loaded")
        self._take_down(session)
        return session

    def engine(self, runtime: Runtime) -> Path:
        """Return where what the provider compiles the model into is kept."""
        name = getattr(runtime, "NAME", self.job.runtime)
        return engines.folder(self.job, self.folder.parent.parent, name)

    def took(self, name: str, begin: int) -> None:
        """Keep the time since `begin`, ns."""
        self.findings["times_ns"][name] = time.perf_counter_ns() - begin

    def _take_down(self, session: Session) -> None:
        # Asking costs memory (of a 6 MB ONNX file it is 1.6 MB), and the check of the cell has asked already.
        ran = Ran({}) if self.job.kind == "memory" else session.ran()
        self.facts.update(ran.facts, numpy=np.__version__)
        self.facts["affinity"] = ",".join(map(str, sorted(os.sched_getaffinity(0))))
        self.findings["inputs"] = [asdict(tensor) for tensor in session.inputs]
        self.findings["outputs"] = [asdict(tensor) for tensor in session.outputs]
        if ran.fallback and not self.job.allow_fallback:
            raise FailedError(ran.fallback)

    def open_faces(self) -> None:
        """Open the pack and what decodes it, before the runtime is there, so that neither is taken for the other."""
        if self.job.faces is None or not self.job.images:
            raise FailedError(f"the {self.job.kind} job names no pictures")
        self._pack = Pack(self.folder.parent.parent / "store" / self.job.faces)
        self._decoder = Decoder(self.job.images)
        self.facts.update(self._decoder.facts)

    def source(self, name: str) -> Array:
        """Return one member of the pack, prepared for `Stages.decode`."""
        assert self._pack is not None
        assert self._decoder is not None
        return self._decoder.prepare(self._pack.read(name), name)

    def sources(self) -> list[Array]:
        """Return the pictures to cycle through, as many as may be held; raises FailedError at the first bad one."""
        held: list[Array] = []
        room = HELD_BYTES
        for name in self.job.images:
            source = self.source(name)
            room -= source.nbytes
            if held and room < 0:
                break
            self.picture(source, name)
            held.append(source)
        self.facts["pictures_held"] = str(len(held))
        return held

    def picture(self, source: Array, name: str) -> Array:
        """Return the pixels of a prepared picture; raises FailedError where it is none."""
        assert self._decoder is not None
        picture = self._decoder.try_decode(source)
        if picture is None:
            self.findings["bad_images"] = [name]
            raise FailedError(f"{name} is no picture that {self.facts['decoder']} can decode")
        return picture

    def try_picture(self, source: Array) -> Array | None:
        """Return the pixels of a prepared picture, or None where it is none."""
        assert self._decoder is not None
        return self._decoder.try_decode(source)

    def stages(self, session: Session) -> Stages:
        """Return the stages of a frame of this job, the manifest having been held against the model."""
        spec, answer = self.specs()
        check_input(spec, session.inputs)
        session.outputs = named_first(answer, session.outputs)
        check_output(answer, session.outputs)
        self.answer = answer = real(answer, session.outputs[0])
        assert self._decoder is not None
        preprocess = Preprocessor(spec, self._decoder.resize)
        # The tensor is an array that stays the same, so a runtime can be told of it once.
        infer = session.bind(preprocess(np.zeros((spec.height, spec.width, 3), np.uint8)))
        return Stages(
            decode=self._decoder.decode,
            preprocess=preprocess,
            infer=infer,
            postprocess=lambda outputs: float(score(outputs, answer)),
            raw=self._decoder.raw,
        )

    def specs(self) -> tuple[InputSpec, OutputSpec]:
        """Return how to feed and how to read; raises FailedError where the job does not say."""
        if self.job.input is None or self.job.output is None:
            raise FailedError(f"the {self.job.kind} job says neither what to feed nor how to read the answer")
        return self.job.input, self.job.output

    def save(self, name: str, array: Array) -> None:
        """Put an array into the spool folder, for the controller to fetch."""
        path = self.folder / name
        np.save(str(path), array, allow_pickle=False)
        data = path.read_bytes()
        entry = ArrayFile(name, len(data), hashlib.sha256(data).hexdigest())
        self.findings["arrays"].append(asdict(entry))


def score(outputs: Sequence[Array], spec: OutputSpec) -> float:
    """Return the score of one frame from the model's outputs."""
    return postprocess(outputs[0].reshape(1, -1), spec)[0]  # type: ignore[no-any-return]
