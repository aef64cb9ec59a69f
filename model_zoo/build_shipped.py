"""Makes the variants that ship: draws training faces, trains MobileNetV3-small, exports it, quantizes it.

    python -m model_zoo.build_shipped --out DIR

Needs the extra `zoo`; nothing else imports torch. Every stage leaves its result in DIR and is skipped when that
is there, and training resumes after its last whole epoch, so an interrupted build is started again as it was.
"""

from __future__ import annotations

import csv
import importlib
import io
import os
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
import onnx
import onnxruntime
import tomli_w
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from rich.console import Console
from rich.progress import Progress

from edgerig import digest, files
from edgerig.metrics import roc_auc
from edgerig.preprocess import InputSpec, Preprocessor
from model_zoo.drawn import write_set

Picture = NDArray[np.uint8]
Tensor = NDArray[np.float32]
Batch = tuple[Tensor, NDArray[np.int64]]

BACKBONE = "mobilenetv3_small_100"
FAMILY = "mobilenetv3-small"
SPEC = InputSpec(height=160, width=160, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
SHIFT = 8
"""How far a training picture is shifted at random, in pixels of the stored picture."""

console = Console(stderr=True)


@dataclass(frozen=True)
class Recipe:
    """What the weights depend on.

    `seed` draws the faces and starts the net, `batch` and `calibration` count pairs. For the first `looking`
    epochs the net learns only where faces were edited, then also whether.
    """

    seed: int
    pairs: int
    epochs: int
    batch: int = 16
    rate: float = 4e-3
    looking: int = 1
    decay: float = 0.02
    average: float = 0.998
    calibration: int = 150


@dataclass(frozen=True)
class Faces:
    """Encoded faces in memory: JPEG bytes, label (1 is fake), category, and the number of the pair."""

    jpegs: Sequence[bytes]
    labels: NDArray[np.int64]
    categories: NDArray[np.str_]
    groups: NDArray[np.int64]


def load_faces(pack: Path, split: str) -> Faces:
    """Read one split of a pack."""
    with zipfile.ZipFile(pack) as archive:
        table = csv.DictReader(io.StringIO(archive.read("labels.csv").decode()))
        rows = [row for row in table if row["split"] == split]
        jpegs = [archive.read(row["path"]) for row in rows]
    return Faces(
        jpegs,
        np.array([row["label"] == "fake" for row in rows], np.int64),
        np.array([row["category"] for row in rows]),
        np.array([int(row["group"]) for row in rows], np.int64),
    )


def decoded(jpeg: bytes) -> Picture:
    """BGR pixels of a JPEG file."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def area(picture: Picture, height: int, width: int, method: str) -> Picture:
    """OpenCV's resize, for `Preprocessor`; the product's own agrees with it to one grey level."""
    how = cv2.INTER_AREA if method == "area" else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(picture, (width, height), interpolation=how), np.uint8)


def tensors(jpegs: Sequence[bytes]) -> Iterator[Tensor]:
    """What the product would feed the net for each picture, [1, 3, 160, 160]."""
    prepare = Preprocessor(SPEC, area)
    for jpeg in jpegs:
        yield prepare(decoded(jpeg)).copy()


# ------------------------------------------------------------------------------------------------- training


def backbone(seed: int) -> Any:
    """The untrained net, two logits in the order real, fake."""
    import torch  # noqa: PLC0415 - the module must be importable for its help without the extra

    torch.manual_seed(seed)
    net = import_timm().create_model(BACKBONE, pretrained=False, num_classes=2)
    # A random classifier starts with a loss of 1.4 and drowns what the localiser has to say: nothing was
    # learnt in 400 steps with it, and where to look within 160 without.
    torch.nn.init.zeros_(net.classifier.weight)
    return net


def pair_loss(logits: Any, labels: Any) -> Any:
    """Cross entropy, and each forgery ranked above its own original.

    A batch holds pairs, original before forgery. The rank cancels the scene, which is most of the variance
    that a net from random weights has to see through before it learns anything.
    """
    import torch  # noqa: PLC0415

    score = logits[:, 1] - logits[:, 0]
    rank = torch.nn.functional.softplus(score[0::2] - score[1::2]).mean()
    return torch.nn.functional.cross_entropy(logits, labels) + rank


class Localiser:
    """Asks two inner layers where a face was edited; used in training alone.

    The difference between the two pictures of a pair is the answer. A net from random weights sits for
    thousands of steps on the label alone; told where to look, it leaves the plateau in a few hundred.
    """

    LAYERS = ((1, 24, 8), (3, 48, 16))
    """Index of timm's block, its channels, and its stride in pixels."""

    def __init__(self, net: Any) -> None:
        import torch  # noqa: PLC0415

        self.heads = torch.nn.ModuleList([torch.nn.Conv2d(channels, 1, 1) for _, channels, _ in self.LAYERS])
        self.seen: dict[int, Any] = {}
        for block, _, _ in self.LAYERS:
            net.blocks[block].register_forward_hook(self._keeper(block))

    def _keeper(self, block: int) -> Callable[[Any, Any, Any], None]:
        def keep(_module: Any, _inputs: Any, output: Any) -> None:
            self.seen[block] = output

        return keep

    def loss(self, pictures: Any) -> Any:
        """Binary cross entropy of the maps for the batch that the net has just seen."""
        import torch  # noqa: PLC0415

        functional = torch.nn.functional
        change = (pictures[0::2] - pictures[1::2]).abs().mean(dim=1, keepdim=True)
        total = torch.zeros(())
        for head, (block, _, stride) in zip(self.heads, self.LAYERS, strict=True):
            cells = functional.avg_pool2d(change, stride)
            noise = cells.flatten(1).median(dim=1).values[:, None, None, None]  # most of a picture is not edited
            answer = head(self.seen[block])
            truth = torch.zeros_like(answer)
            truth[1::2] = (cells > 1.6 * noise).float()
            total = total + functional.binary_cross_entropy_with_logits(answer, truth, pos_weight=torch.tensor(3.0))
        return total


def import_timm() -> Any:
    """Import timm past a torchvision built for another torch.

    torchvision's wheel from PyPI refuses a CPU-only torch because its compiled operators do not load.
    timm needs none of them, so declaring the ones that are looked for at import is enough.
    """
    import torch  # noqa: PLC0415

    try:
        importlib.import_module("torchvision")
    except RuntimeError:
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)  # the declarations go when the library is collected
    return importlib.import_module("timm")


_KEPT: list[Any] = []


def batches(faces: Faces, recipe: Recipe, epoch: int) -> Iterator[Batch]:
    """Augmented batches of one epoch; both faces of a pair share a batch and their augmentation.

    With the scene in common, the edit is what is left to learn. The stream depends on (seed, epoch) alone,
    so a resumed run sees what an uninterrupted one would.
    """
    rng = np.random.default_rng([recipe.seed, epoch])
    prepare = Preprocessor(SPEC, area)
    members = {group: np.flatnonzero(faces.groups == group) for group in np.unique(faces.groups)}
    order = rng.permutation(np.array(sorted(members)))
    for start in range(0, len(order) - recipe.batch + 1, recipe.batch):
        pictures, labels = [], []
        for group in order[start : start + recipe.batch]:
            change = Augmentation.sample(rng)
            for place in members[group][np.argsort(faces.labels[members[group]])]:
                pictures.append(prepare(change(decoded(faces.jpegs[place]))).copy())
                labels.append(faces.labels[place])
        yield np.concatenate(pictures), np.array(labels)


def ahead(stream: Iterator[Batch]) -> Iterator[Batch]:
    """The same batches, the next one made by a thread while this one is used."""
    with ThreadPoolExecutor(1) as maker:
        coming = maker.submit(next, stream, None)
        while (batch := coming.result()) is not None:
            coming = maker.submit(next, stream, None)
            yield batch


@dataclass(frozen=True)
class Augmentation:
    """Mirror, shift, and gain of one pair; nothing that resamples, since resampling is the evidence."""

    mirrored: bool
    dx: int
    dy: int
    gain: float

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Augmentation:
        """Draw one."""
        dx, dy = rng.integers(-SHIFT, SHIFT + 1, 2)
        return cls(bool(rng.random() < 0.5), int(dx), int(dy), float(rng.uniform(0.88, 1.12)))

    def __call__(self, picture: Picture) -> Picture:
        """Apply it to BGR pixels."""
        if self.mirrored:
            picture = picture[:, ::-1]
        height, width = picture.shape[:2]
        wide = np.pad(picture, ((SHIFT, SHIFT), (SHIFT, SHIFT), (0, 0)), mode="edge")
        top, left = SHIFT + self.dy, SHIFT + self.dx
        return np.asarray(cv2.convertScaleAbs(wide[top : top + height, left : left + width], alpha=self.gain), np.uint8)


def train(recipe: Recipe, pack: Path, folder: Path, progress: Progress) -> Any:
    """Train to the end, or from the last checkpoint, and return the averaged net in eval mode."""
    import torch  # noqa: PLC0415

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    faces, held_out = load_faces(pack, "train"), load_faces(pack, "val")
    run = _Run.fresh(recipe, len(np.unique(faces.groups)) // recipe.batch)
    checkpoint = folder / "checkpoint.pt"
    first = run.restore(checkpoint)
    task = progress.add_task("training", total=recipe.epochs, completed=first)
    for epoch in range(first, recipe.epochs):
        loss = run.epoch(ahead(batches(faces, recipe, epoch)), labels_count=epoch >= recipe.looking)
        run.save(checkpoint, epoch + 1)
        progress.update(task, completed=epoch + 1)
        if epoch % 2 == 1 or epoch + 1 == recipe.epochs:
            score = _auc_lines(held_out, torch_scores(run.averaged(), held_out))
            console.log(f"epoch {epoch + 1}: loss {loss:.4f}, validation {score}")
    return run.averaged()


class _Run:
    """Net, its running average, optimizer and schedule, and the heads that training alone needs."""

    def __init__(self, net: Any, average: Any, where: Localiser, optimizer: Any, schedule: Any) -> None:
        self.net, self.average, self.optimizer, self.schedule = net, average, optimizer, schedule
        self.where = where

    @classmethod
    def fresh(cls, recipe: Recipe, steps: int) -> _Run:
        import torch  # noqa: PLC0415

        net = backbone(recipe.seed).to(memory_format=torch.channels_last)
        average = torch.optim.swa_utils.AveragedModel(
            net, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(recipe.average), use_buffers=True
        )
        where = Localiser(net)  # after the average was copied, which must not carry the hooks
        weights = [*net.parameters(), *where.heads.parameters()]
        optimizer = torch.optim.AdamW(weights, lr=recipe.rate, weight_decay=recipe.decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.rate, total_steps=max(1, steps * recipe.epochs), pct_start=0.05
        )
        return cls(net, average, where, optimizer, schedule)

    def epoch(self, stream: Iterator[Batch], *, labels_count: bool) -> float:
        """One pass; returns the mean loss, which is the localiser's alone unless `labels_count`."""
        import torch  # noqa: PLC0415

        self.net.train()
        losses = []
        for pictures, labels in stream:
            # Twice as fast as the default layout on a CPU.
            batch = torch.from_numpy(pictures).to(memory_format=torch.channels_last)
            logits = self.net(batch)
            loss = self.where.loss(batch)
            if labels_count:
                loss = loss + pair_loss(logits, torch.from_numpy(labels))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            self.optimizer.step()
            self.schedule.step()
            self.average.update_parameters(self.net)
            losses.append(float(loss.detach()))
        return float(np.mean(losses))

    def averaged(self) -> Any:
        """The averaged net, ready to be used."""
        return self.average.module.eval()

    def _parts(self) -> list[tuple[str, Any]]:
        own = {name: value for name, value in vars(self).items() if name != "where"}
        return [*own.items(), ("heads", self.where.heads)]

    def save(self, path: Path, epochs: int) -> None:
        """Write a checkpoint, whole or not at all."""
        import torch  # noqa: PLC0415

        part = path.with_suffix(".part")
        torch.save({"epochs": epochs, **{name: value.state_dict() for name, value in self._parts()}}, part)
        part.replace(path)

    def restore(self, path: Path) -> int:
        """Load a checkpoint if there is one; returns how many epochs are done."""
        import torch  # noqa: PLC0415

        if not path.exists():
            return 0
        saved = torch.load(path, weights_only=True)
        for name, value in self._parts():
            value.load_state_dict(saved[name])
        return int(saved["epochs"])


# --------------------------------------------------------------------------------------------------- scores


def torch_scores(net: Any, faces: Faces) -> NDArray[np.float64]:
    """Probability of "fake" for each face, by torch."""
    import torch  # noqa: PLC0415

    with torch.no_grad():
        logits = [net(torch.from_numpy(tensor)).numpy() for tensor in tensors(faces.jpegs)]
    return _probabilities(np.concatenate(logits))


def onnx_logits(model: Path, faces: Faces) -> Tensor:
    """Logits [N, 2] by ONNX Runtime on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["logits"], {"input": tensor})[0] for tensor in tensors(faces.jpegs)])


def _probabilities(logits: Tensor) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp((logits[:, 0] - logits[:, 1]).astype(np.float64))))


def _auc_lines(faces: Faces, scores: NDArray[np.float64]) -> str:
    """AUC overall, then each category's forgeries against all real faces."""
    real = faces.labels == 0
    parts = [f"AUC {roc_auc(faces.labels, scores) or 0:.4f}"]
    for category in sorted(set(faces.categories[~real])):
        chosen = real | (faces.categories == category)
        parts.append(f"{category} {roc_auc(faces.labels[chosen], scores[chosen]) or 0:.4f}")
    return ", ".join(parts)


# --------------------------------------------------------------------------------------------------- export


def export(net: Any, path: Path) -> None:
    """Write the net as one ONNX file, opset 18, any batch size."""
    import torch  # noqa: PLC0415

    example = torch.zeros(2, 3, SPEC.height, SPEC.width)
    torch.onnx.export(
        net,
        (example,),
        path,
        dynamo=True,
        opset_version=18,
        external_data=False,
        verbose=False,
        input_names=["input"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
    )
    _forget_origin(path)


def _forget_origin(path: Path) -> None:
    """Take out the exporter's notes: stack traces of every node, with the paths of the machine that built it."""
    model = onnx.load(path)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    onnx.save(model, path)


class _Calibration(CalibrationDataReader):
    """Feeds training faces to the quantizer."""

    def __init__(self, faces: Faces, pairs: int) -> None:
        chosen = np.flatnonzero(np.isin(faces.groups, np.unique(faces.groups)[:pairs]))
        self.feed = tensors([faces.jpegs[int(place)] for place in chosen])

    def get_next(self) -> dict[str, Tensor] | None:
        """The next face, None after the last."""
        tensor = next(self.feed, None)
        return None if tensor is None else {"input": tensor}


def quantize(source: Path, target: Path, faces: Faces, pairs: int) -> None:
    """Static int8, QDQ, weights per channel, every node.

    MobileNetV3 is known to lose much of its accuracy this way when its weights come from ImageNet. Trained as
    here it does not: AUC on 500 validation faces .968 in float, .970 throughout in int8, .967 with the
    squeeze-and-excite gates left in float, which would
    add 1.3 MB.
    """
    prepared = target.with_suffix(".prepared.onnx")
    quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(target),
        _Calibration(faces, pairs),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        # Unsigned: .73 ms a frame against 2.31 with signed ones, onnxruntime 1.31.1, one thread of an AMD EPYC.
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    prepared.unlink()


def multiplications(model: Path) -> int:
    """Multiply-accumulates of convolutions and matrix products for one picture."""
    net = onnx.load(model)
    net.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    graph = onnx.shape_inference.infer_shapes(net, data_prop=True).graph
    shapes = {
        value.name: [dim.dim_value or 1 for dim in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.output)
    }
    weights = {item.name: list(item.dims) for item in graph.initializer}
    total = 0
    for node in graph.node:
        if node.op_type == "Conv":
            total += int(np.prod(shapes[node.output[0]]) * np.prod(weights[node.input[1]][1:]))
        elif node.op_type in {"Gemm", "MatMul"}:
            total += int(np.prod(weights[node.input[1]]))
    return total


# ------------------------------------------------------------------------------------------------ manifests


def write_manifests(folder: Path, recipe: Recipe, net: Any) -> None:
    """Write the family and one manifest per variant."""
    fp32 = folder / f"{FAMILY}-fp32.onnx"
    _write_toml(folder / f"{FAMILY}.family.toml", _family(recipe, net, multiplications(fp32)))
    _write_toml(fp32.with_suffix(".toml"), {**_variant(fp32), "note": "As trained."})
    int8 = folder / f"{FAMILY}-int8.onnx"
    note = f"Static int8, QDQ, weights per channel, all nodes; ranges from {2 * recipe.calibration} training faces."
    extra = {"parent": fp32.stem, "techniques": ["int8", "static", "per-channel"], "note": note}
    _write_toml(int8.with_suffix(".toml"), {**_variant(int8), **extra})


def _family(recipe: Recipe, net: Any, macs: int) -> dict[str, Any]:
    command = f"python -m model_zoo.build_shipped --out DIR --seed {recipe.seed} --pairs {recipe.pairs}"
    return {
        "classes": ["real", "fake"],
        "positive": "fake",
        "parameters": sum(weight.numel() for weight in net.parameters()),
        "macs": macs,
        "input": {
            "size": [SPEC.height, SPEC.width],
            "layout": SPEC.layout,
            "colour": SPEC.colour,
            "mean": list(SPEC.mean),
            "std": list(SPEC.std),
            "resize": SPEC.resize,
        },
        "output": {"kind": "logits", "index": 1},
        "training": {
            "data": f"{recipe.pairs} drawn pairs (model_zoo.drawn, seed {recipe.seed}); no photograph of anyone",
            "seed": recipe.seed,
            "command": f"{command} --epochs {recipe.epochs}",
            "note": f"timm {BACKBONE} from random weights. Knows drawn faces alone: no evidence about people.",
        },
    }


def _variant(model: Path) -> dict[str, Any]:
    return {
        "extends": f"{FAMILY}.family.toml",
        "name": model.stem,
        "file": model.name,
        "bytes": model.stat().st_size,
        "sha256": digest.of_file(model),
    }


def _write_toml(path: Path, content: dict[str, Any]) -> None:
    files.write(path, tomli_w.dumps(content).encode())


# -------------------------------------------------------------------------------------------------- command


@click.command()
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the results.")
@click.option("--seed", default=20, show_default=True, help="Seed of faces and weights; not the shipped set's.")
@click.option("--pairs", default=5000, show_default=True, help="Drawn pairs to train on.")
@click.option("--epochs", default=20, show_default=True, help="Passes over them.")
@click.option("--workers", default=1, show_default=True, help="Processes that draw.")
def main(out: Path, seed: int, pairs: int, epochs: int, workers: int) -> None:
    """Draw faces, train MobileNetV3-small on them, and write its variants with their manifests."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cv2.setNumThreads(1)
    recipe = Recipe(seed, pairs, epochs)
    out.mkdir(parents=True, exist_ok=True)
    with Progress(console=console) as progress:
        pack = _drawn(recipe, out, workers, progress)
        net = train(recipe, pack, out, progress)
    fp32, int8 = out / f"{FAMILY}-fp32.onnx", out / f"{FAMILY}-int8.onnx"
    export(net, fp32)
    quantize(fp32, int8, load_faces(pack, "train"), recipe.calibration)
    write_manifests(out, recipe, net)
    _report(net, load_faces(pack, "val"), (fp32, int8))
    click.echo(f"recipe: {asdict(recipe)}")


def _drawn(recipe: Recipe, out: Path, workers: int, progress: Progress) -> Path:
    pack = out / "faces.zip"
    if pack.exists():
        return pack
    validation = max(50, recipe.pairs // 20)
    task = progress.add_task("drawing pairs", total=recipe.pairs + validation)
    write_set(
        pack.with_suffix(".part"),
        seed=recipe.seed,
        counts={"train": recipe.pairs, "val": validation},
        workers=workers,
        progress=lambda done, _total: progress.update(task, completed=done),
    )
    return pack.with_suffix(".part").replace(pack)


def _report(net: Any, faces: Faces, models: Sequence[Path]) -> None:
    """Print the AUC of each variant, and how far ONNX Runtime is from torch on the same faces."""
    expected = torch_scores(net, faces)
    click.echo(f"torch: {_auc_lines(faces, expected)}")
    for model in models:
        scores = _probabilities(onnx_logits(model, faces))
        gap = float(np.abs(scores - expected).max())
        click.echo(f"{model.name}: {_auc_lines(faces, scores)}; largest gap to torch's score {gap:.2e}")


if __name__ == "__main__":
    main()
