"""The arrows between the rooms, read from the imports; each check is shown a bad snippet, so it is known to fail."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.needs import require

ROOT = Path(__file__).parents[1]
ROOMS = {
    "edgerig": {"edgerig"},
    "targets": {"targets", "edgerig"},
    "model_zoo": {"model_zoo", "edgerig"},
    "reports": {"reports", "edgerig"},
    "harness": {"harness", "targets", "model_zoo", "reports", "edgerig"},
}
DOOR = "edgerig"  # edgerig/__init__.py offers what harness/api.py has, lazily
TRAINERS = {"backbones", "training", "pruning", "quantizing", "defakeq", "exporting"}  # of model_zoo
TRAINING = {
    *("torch", "torchvision", "timm", "onnxscript", "torch_pruning", "nncf", "skl2onnx", "sklearn"),
    *("litert_torch", "ai_edge_quantizer"),
}
AGENT = "harness.agent"
AGENT_MAY = {"numpy", "cv2"} | sys.stdlib_module_names
RUNTIMES = {
    "ort": ["onnxruntime"],
    "tflite": ["ai_edge_litert", "tflite_runtime"],  # whichever the device has
    "openvino": ["openvino"],
    "null": [],
}

Sources = Mapping[str, str]  # module -> source


@dataclass(frozen=True)
class Import:
    """A module that another one imports, when it is imported itself (`top`) or later."""

    module: str
    line: int
    top: bool


def sources(folder: Path, *rooms: str) -> dict[str, str]:
    """Return the modules of some rooms; packages by their own name."""
    files = sorted(path for room in rooms for path in (folder / room).rglob("*.py"))
    return {_module(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def imports(source: str, known: Sources) -> list[Import]:
    """Return all imports of a source, those in functions, under conditions and by name included."""
    tree = ast.parse(source)
    late = {id(node) for outer in ast.walk(tree) if _is_late(outer) for node in ast.walk(outer)}
    return [
        Import(name, getattr(node, "lineno", 0), id(node) not in late)
        for node in ast.walk(tree)
        for name in _imported(node, known)
    ]


def _is_late(node: ast.AST) -> bool:
    """Whether what is in this node is not done when the module is imported."""
    checking = isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    return checking or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _imported(node: ast.AST, known: Sources) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"line {node.lineno}: a relative import"
        for alias in node.names:
            inner = f"{node.module}.{alias.name}"
            yield inner if inner in known else str(node.module)
    elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
        name = node.args[0]
        if isinstance(name, ast.Constant):
            yield str(name.value)


def wrong_arrows(modules: Sources) -> list[str]:
    """Return the imports from one room of another that it may not know."""
    return [
        f"{module}:{entry.line} imports {entry.module}"
        for module, source in modules.items()
        for entry in imports(source, modules)
        if (room := entry.module.split(".")[0]) in ROOMS and room not in ROOMS[module.split(".")[0]]
        if not (module == DOOR and entry.module == "harness.api" and not entry.top)
    ]


def cycles(modules: Sources) -> list[str]:
    """Return the cycles of imports among modules, each once."""
    graph = {
        module: sorted({entry.module for entry in imports(source, modules) if entry.top and entry.module in modules})
        for module, source in modules.items()
    }
    found: list[str] = []
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            found.append(" -> ".join((*path[path.index(module) :], module)))
        elif module not in done:
            for target in graph[module]:
                walk(target, (*path, module))
            done.add(module)

    for module in graph:
        walk(module, ())
    return found


def foreign_to_the_agent(modules: Sources) -> list[str]:
    """Return what a device without our packages could not import."""
    return [
        f"{module}:{entry.line} imports {entry.module}"
        for module, source in modules.items()
        for entry in imports(source, {**modules, "edgerig.preprocess": ""})
        if not _agent_may(module, entry.module)
    ]


def _agent_may(module: str, target: str) -> bool:
    if target == "edgerig.preprocess" or f"{target}.".startswith(f"{AGENT}."):
        return True
    package, _, name = module.rpartition(".")
    own = RUNTIMES.get(name, []) if package == f"{AGENT}.runtimes" else []
    return target.split(".", maxsplit=1)[0] in AGENT_MAY | set(own)


# Of the standard library and the builtins, and newer than Python 3.8.
NEWER = {
    "removeprefix": "3.9",
    "removesuffix": "3.9",
    "is_relative_to": "3.9",
    "with_stem": "3.9",
    "readlink": "3.9",
    "cache": "3.9",
    "lcm": "3.9",
    "unparse": "3.9",
    "to_thread": "3.9",
    "pairwise": "3.10",
    "bit_count": "3.10",
    "hardlink_to": "3.10",
    "file_digest": "3.11",
    "UTC": "3.11",
    "StrEnum": "3.11",
    "strict=": "3.10",
    "slots=": "3.10",
    "kw_only=": "3.10",
}
GENERIC = {"list", "dict", "tuple", "set", "frozenset", "type", "deque", "defaultdict", "OrderedDict", "Counter"}


def newer_than_38(modules: Sources) -> list[str]:
    """Return what Python 3.8 cannot parse, or would stumble over when it gets there."""
    return [f"{module}: {problem}" for module, source in modules.items() for problem in _newer(source)]


def _newer(source: str) -> Iterator[str]:
    try:
        tree = ast.parse(source, feature_version=(3, 8))
    except SyntaxError as error:
        yield f"line {error.lineno} is no Python 3.8"
        return
    if tree.body[1:] and not any(isinstance(n, ast.ImportFrom) and n.module == "__future__" for n in tree.body):
        yield "annotations are evaluated: `from __future__ import annotations` is missing"
    notes = {id(inner) for node in ast.walk(tree) for note in _annotations(node) for inner in ast.walk(note)}
    for node in ast.walk(tree):
        if id(node) not in notes and (why := _evaluated_newer(node)):
            yield f"line {getattr(node, 'lineno', 0)}: {why}"


def _annotations(node: ast.AST) -> list[ast.AST]:
    return [note for key in ("annotation", "returns") if (note := getattr(node, key, None))]


def _evaluated_newer(node: ast.AST) -> str:
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).split(".")[-1] in GENERIC:
        return f"{ast.unparse(node)} is evaluated"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union(node)
    if isinstance(node, ast.AugAssign) and isinstance(node.op, ast.BitOr) and isinstance(node.value, ast.Dict):
        return "dictionaries are joined by |="
    newer = sorted(_names(node) & NEWER.keys())
    return f"{newer[0]} is of Python {NEWER[newer[0]]}" if newer else ""


def _names(node: ast.AST) -> set[str]:
    """Return the names that a node takes from elsewhere: attributes, imports, keywords of calls."""
    if isinstance(node, ast.Attribute):
        return {node.attr}
    if isinstance(node, ast.ImportFrom):
        return {alias.name for alias in node.names}
    return {f"{node.arg}="} if isinstance(node, ast.keyword) else set()


def _union(node: ast.BinOp) -> str:
    for side in (node.left, node.right):
        if isinstance(side, ast.Dict):
            return "dictionaries are joined by |"
        if ast.unparse(side) in ("None", "int", "str", "float", "bytes"):
            return f"{ast.unparse(node)} is evaluated"
    return ""


def trainers(modules: Sources) -> list[str]:
    """Return who imports what only the extra `zoo` brings, and who imports a room of training before it is used."""
    return [
        f"{module}:{entry.line} imports {entry.module}"
        for module, source in modules.items()
        if not _trains(module)
        for entry in imports(source, modules)
        if (entry.top and _trains(entry.module))
        or (entry.module.split(".")[0] in TRAINING and (entry.top or not module.startswith("model_zoo.building.")))
    ]


def _trains(module: str) -> bool:
    room, _, rest = module.partition(".")
    return room == "model_zoo" and rest.split(".")[0] in TRAINERS


def loaded_by(statement: str) -> set[str]:
    """Return the modules that a fresh Python has loaded after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT)
    return {name.split(".")[0] for name in done.stdout.split()}


MACHINE = ("/" + "work/", ".." + "/shared")  # in two parts, or this file would be found


def places_of_one_machine(files: Mapping[str, bytes]) -> list[str]:
    """Return the files that name a folder which only one machine has."""
    return [
        f"{name} names {place}"
        for name, content in files.items()
        for place in MACHINE
        # Tests may read real faces where they are there.
        if place.encode() in (content.replace(f"{MACHINE[1]}/faces".encode(), b"") if "tests/" in name else content)
    ]


# -- the house as it is


@pytest.fixture(scope="module")
def house() -> Sources:
    return sources(ROOT, *ROOMS)


@pytest.fixture(scope="module")
def agent(house: Sources) -> Sources:
    ours = {module: source for module, source in house.items() if f"{module}.".startswith(f"{AGENT}.")}
    assert len(ours) > 15
    return ours


def test_arrows_point_down(house: Sources) -> None:
    assert wrong_arrows(house) == []


@pytest.mark.parametrize("room", ROOMS)
def test_no_cycle_is_inside_a_room(room: str) -> None:
    assert cycles(sources(ROOT, room)) == []


def test_the_agent_imports_what_a_device_has(agent: Sources) -> None:
    assert foreign_to_the_agent(agent) == []


def test_numpy_is_all_that_preprocess_imports(house: Sources) -> None:
    names = {entry.module for entry in imports(house["edgerig.preprocess"], house)}
    assert names - sys.stdlib_module_names == {"numpy"}


def test_a_runtime_is_imported_by_its_own_file_alone(agent: Sources) -> None:
    packages = {package for names in RUNTIMES.values() for package in names}
    for module, source in agent.items():
        found = {entry.module.split(".")[0] for entry in imports(source, agent)} & packages
        assert found <= set(RUNTIMES.get(module.rpartition(".")[2], []))


def test_opencv_is_never_needed_to_start_the_agent(agent: Sources) -> None:
    early = [
        m for m, source in agent.items() for entry in imports(source, agent) if entry.top and entry.module == "cv2"
    ]
    assert early == []


def test_the_agent_is_python_38(agent: Sources, house: Sources) -> None:
    assert newer_than_38({**agent, "edgerig.preprocess": house["edgerig.preprocess"]}) == []


def test_the_command_line_starts_without_the_heavy_packages() -> None:
    heavy = {"pydantic", "pandas", "paramiko", "numpy", "matplotlib", "scipy", "onnx", "onnxruntime", "cv2"}
    assert loaded_by("import harness.cli") & heavy == set()


def test_the_floor_brings_nothing_above_it() -> None:
    loaded = loaded_by("import edgerig, edgerig.files, edgerig.toml, edgerig.metrics, edgerig.process")
    assert loaded & (set(ROOMS) | {"pydantic", "pandas"}) == {"edgerig"}


def test_only_the_builder_of_the_shipped_variants_trains() -> None:
    assert trainers(sources(ROOT, *ROOMS, "benchmarks")) == []


def test_no_file_names_a_place_of_one_machine() -> None:
    require("git", "git is missing")
    require((ROOT / ".git").exists(), "this is no checkout")
    argv = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    files = {name: path.read_bytes() for name in names if (path := ROOT / name).is_file()}
    assert len(files) > 50
    assert places_of_one_machine(files) == []


# -- each check can fail


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("edgerig.toml", "from targets import profile"),
        ("edgerig", "import harness.api"),
        ("edgerig", "def f():\n    import importlib\n    importlib.import_module('reports.files')"),
        ("targets.local", "def f():\n    import harness.planning.plan"),
        ("targets.local", "import model_zoo"),
        ("reports.files", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from targets import profile"),
        ("model_zoo.select", "import importlib\nimportlib.import_module('reports.records')"),
    ],
)
def test_a_wrong_arrow_is_found(module: str, source: str) -> None:
    assert len(wrong_arrows({module: source})) == 1


def test_the_lazy_door_is_allowed() -> None:
    assert wrong_arrows({"edgerig": "def f():\n    import importlib\n    importlib.import_module('harness.api')"}) == []


def test_a_cycle_is_found() -> None:
    ring = {"a": "import b", "b": "from c import d", "c": "", "c.d": "import a"}
    assert cycles(ring) == ["a -> b -> c.d -> a"]
    assert cycles({**ring, "c.d": "def f():\n    import a"}) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("harness.agent.serve", "import pydantic"),
        ("harness.agent.serve", "import onnxruntime"),
        ("harness.agent.serve", "from edgerig import errors"),
        ("harness.agent.serve", "from edgerig import preprocess, digest"),
        ("harness.agent.serve", "from harness import plan"),
        ("harness.agent.serve", "import harness.agents"),
        ("harness.agent.runtimes.ort", "import openvino"),
        ("harness.agent.ort", "import onnxruntime"),
    ],
)
def test_what_a_device_lacks_is_found(module: str, source: str) -> None:
    assert len(foreign_to_the_agent({module: source})) == 1


@pytest.mark.parametrize(
    "line",
    [
        "match x:\n    case 1: pass",
        "Alias = list[int]",
        "cast(dict[str, int], x)",
        "Alias = int | None",
        "merged = {**a} | b",
        "'x'.removeprefix('y')",
        "from functools import cache",
        "zip(a, b, strict=True)",
        "@functools.cache\ndef f(): pass",
    ],
)
def test_what_python_38_lacks_is_found(line: str) -> None:
    found = newer_than_38({"agent": f"from __future__ import annotations\n{line}"})
    assert len(found) == 1


def test_annotations_may_be_new_where_they_are_not_evaluated() -> None:
    annotated = "def f(a: list[int] | None = None) -> dict[str, int]:\n    b: tuple[int, ...] = ()\n"
    assert newer_than_38({"agent": f"from __future__ import annotations\n{annotated}"}) == []
    assert len(newer_than_38({"agent": f"import os\n{annotated}"})) == 1


def test_a_trainer_is_found() -> None:
    assert len(trainers({"model_zoo.select": "def f():\n    import torch.nn"})) == 1
    room = {"model_zoo.training.step": "import torch"}
    assert trainers(room) == []
    assert len(trainers({"harness.api": "from model_zoo.training import step", **room})) == 1
    assert trainers({"harness.api": "def f():\n    from model_zoo.training import step", **room}) == []


def test_what_is_loaded_is_seen() -> None:
    assert {"json", "edgerig"} <= loaded_by("import json, edgerig")


@pytest.mark.parametrize("name", ["README.md", "tests/test_x.py", "model_zoo/variants/a.onnx"])
def test_a_place_of_one_machine_is_found(name: str) -> None:
    assert len(places_of_one_machine({name: b"see " + MACHINE[0].encode() + b"main"})) == 1
    assert len(places_of_one_machine({name: b"\x00" + MACHINE[1].encode() + b"/papers"})) == 1
    faces = f"{MACHINE[1]}/faces".encode()
    assert len(places_of_one_machine({name: faces})) == (0 if name.startswith("tests/") else 1)
