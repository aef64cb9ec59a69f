"""Accuracy passes: the score of every held-out face and, where asked for, of every face for validation."""

from __future__ import annotations

import csv
import io
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgerig import files
from edgerig.errors import ProtocolError
from harness import places
from harness.agent.protocol import Job, JobResult
from harness.planning.plan import PlannedFaces
from model_zoo import faceset
from model_zoo.faceset import Face
from reports.records import Accuracy, Outcome

if TYPE_CHECKING:
    from harness.measuring.measure import Measuring

COLUMNS = ("path", "label", "category", "group", "score")  # of a file of scores
_DECODING = threading.Lock()  # two devices that want the same pixels would write the same file


@dataclass(frozen=True)
class Feed:
    """Faces as a device gets them.

    Attributes:
        faces: those that are scored, in order.
        pack: the file that holds them.
        sha256: of the pack.
        suffix: what the pack's members have behind a face's path.
    """

    faces: tuple[Face, ...]
    pack: Path
    sha256: str
    suffix: str = ""

    @property
    def images(self) -> list[str]:
        """The members of the pack that are fed."""
        return [face.path + self.suffix for face in self.faces]


def feed(planned: PlannedFaces, faces: Sequence[Face], packages: Iterable[str]) -> Feed:
    """Return faces encoded, or as pixels for a device that cannot decode them.

    Args:
        planned: the pack.
        faces: those of it that the target scores.
        packages: that the device has.
    """
    if "cv2" in packages:
        return Feed(tuple(faces), planned.pack, planned.info.sha256)
    with _DECODING:
        pixels = faceset.decoded(planned.pack, tuple(faces), places.packs())
    return Feed(tuple(faces), pixels.path, pixels.sha256, ".npy")


def score(measuring: Measuring, fed: Feed, event: str, done: Mapping[str, Accuracy]) -> None:
    """Score faces by each cell whose pass is missing; thread counts share a pass.

    Args:
        measuring: the target and its cells.
        fed: the faces.
        event: "accuracy" for held-out faces, "validation" for those that a threshold is fitted on.
        done: the passes that are there, by `scores_id`; kept up to date by `measuring.add`.
    """
    for cell in measuring.cells:
        if cell.scores_id in done or measuring.state.dead(cell):
            continue
        measuring.told(f"{event} of {cell.key.variant} on {len(fed.faces)} faces")
        job = measuring.job(
            cell,
            "accuracy",
            images=fed.images,
            faces=fed.sha256,
            deadline_s=measuring.deadline(cell, len(fed.faces)),
        )
        result = measuring.session.run(job)
        name = cell.scores_id if event == "accuracy" else f"{cell.scores_id}-{event}"
        accuracy = Accuracy(
            outcome=Outcome(result.outcome),
            reason=result.reason,
            scores=_kept(measuring, job, result, fed, name),
            threshold=measuring.plan.variant(cell.key.variant).info.threshold,
            pixels_sha256=result.pixels_sha256,
        )
        measuring.add(event, scores_id=cell.scores_id, accuracy=accuracy.model_dump(mode="json"))
        measuring.session.forget(job)
        measuring.progress.advance(measuring.target.name, 1.0)


def _kept(measuring: Measuring, job: Job, result: JobResult, fed: Feed, name: str) -> str | None:
    """Keep the scores of faces as CSV and return the file's name; None where there are none."""
    kept = measuring.kept(job, result, "scores", f"{name}.npy")
    if kept is None:
        return None
    raw = measuring.journal.folder / "scores" / kept
    scores = np.load(raw, allow_pickle=False)
    if scores.shape != (len(fed.faces),):
        raise ProtocolError(f"{measuring.target.name} sent {scores.size} scores of {len(fed.faces)} faces.")
    files.write(raw.with_suffix(".csv"), scores_csv(fed.faces, scores))
    raw.unlink()
    return raw.with_suffix(".csv").name


def scores_csv(faces: Sequence[Face], scores: Sequence[float]) -> bytes:
    """Return per-image scores as CSV: path, label, category, group, score with all its digits."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for face, score in zip(faces, scores, strict=True):
        writer.writerow((face.path, face.label, face.category, face.group, repr(float(score))))
    return text.getvalue().encode()
