"""How long a frame of a net takes while it is pruned towards a latency: measured as a run measures, in short."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from edgerig.errors import ModelError
from harness import workflow
from harness.agent import protocol
from harness.agent.protocol import JobResult
from harness.devices.session import Session
from harness.measuring import measure
from harness.planning import plan
from model_zoo import faceset, family, manifest
from model_zoo.building import products
from model_zoo.building.build import Asked
from model_zoo.building.faces import TrainingFaces
from model_zoo.building.trained import Trained
from model_zoo.manifest import Variant
from reports.records import Key
from targets.profile import Target

RUNTIME = "onnxruntime"
INFERENCE = protocol.STAGES.index("inference")
ROUNDS = 3  # fresh processes; the middle one counts
PICTURES = 16


class FrameTimer:
    """Measures the inference of a frame, by ONNX Runtime on one thread.

    Args:
        target: where.
        faces: for the check of the exported file.
        seed: of the same.
    """

    def __init__(self, target: Target, faces: TrainingFaces, seed: int) -> None:
        self._target, self._faces, self._seed = target, faces, seed

    def __call__(self, trained: Trained) -> float:
        """Return the median milliseconds; raises ModelError where it cannot be measured, TargetError without device."""
        with tempfile.TemporaryDirectory(prefix="edgerig-") as folder:
            variant = self._exported(trained, Path(folder))
            with workflow.leased(self._target, "zoo"):
                session = workflow.open_session(self._target, wanted=[RUNTIME])
                try:
                    return float(np.median([self._round(session, variant, Path(folder)) for _ in range(ROUNDS)]))
                finally:
                    session.close()

    def _exported(self, trained: Trained, folder: Path) -> Variant:
        table = products.export(trained, "onnx", Asked(self._faces, seed=self._seed), folder, "pruned")
        return manifest.load(family.write_alone(folder, [table])[0])

    def _round(self, session: Session, variant: Variant, folder: Path) -> float:
        pack = faceset.pack(faceset.load(faceset.SHIPPED), folder)  # what a frame takes does not hang on its pixels
        pictures = faceset.load(faceset.SHIPPED).split("val").faces[:PICTURES]
        session.push({pack.sha256: pack.path, variant.sha256: variant.path})
        job = measure.job_for(
            self._target,
            plan.planned_variant(variant),
            Key(variant=variant.name, target=self._target.name, runtime=RUNTIME, provider="cpu", threads=1),
            "latency",
            command=session.command(RUNTIME),
            faces=pack.sha256,
            images=[face.path for face in pictures],
        )
        result = session.run(job)
        try:
            self._require(result)
            session.fetch(job, next(array for array in result.arrays if array.name == "frames.npy"), folder / "f.npy")
        finally:
            session.forget(job)
        return float(np.median(np.load(folder / "f.npy")[result.warmup :, INFERENCE])) / 1e6

    def _require(self, result: JobResult) -> None:
        if result.outcome != "ok":
            raise ModelError(f"a frame could not be measured on {self._target.name}: {result.reason}")
