"""What lies in a bundle: Debian's CPython with its libraries, wheels, and nothing that measuring does not need.

bin/python3.11                  started by the tree's own loader, so that it runs wherever it lies
lib/ld-linux-aarch64.so.1       the loader
lib/*.so.*                      its libraries, by the names that programs ask for
lib/python3.11/                 the standard library
lib/python3/dist-packages/      wheels, where Debian's Python looks for packages
licences/PACKAGE                of what Debian packaged; those of wheels lie in their .dist-info
"""

from __future__ import annotations

import fnmatch
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgerig import process
from edgerig.deadline import Deadline
from edgerig.errors import HostError
from harness.stock import debian
from harness.stock.debian import Deb

PYTHON = (3, 11)  # of Debian 12
GLIBC = "2.36"
PROGRAM = "bin/python3.11"
STDLIB = "lib/python3.11"
SITE = "lib/python3/dist-packages"
LOADERS = {"aarch64": "lib/ld-linux-aarch64.so.1", "x86_64": "lib/ld-linux-x86-64.so.2"}
COMPILE_S = 900.0

# gcc-12-base holds the licences of libgcc-s1 and libstdc++6. libssl3 is for hashlib: OpenSSL's sha256 uses the
# processor's own instructions, Python's does not.
PACKAGES = (
    *("python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib", "libc6", "libstdc++6", "libgcc-s1"),
    *("gcc-12-base", "zlib1g", "libexpat1", "libffi8", "libssl3", "libbz2-1.0", "liblzma5", "libsqlite3-0", "libuuid1"),
)

# By path in the tree. What nothing imports here: tests, headers, stubs, converters, and of onnxruntime a second copy of
# the library, for programs in C (25 MB), of LiteRT the accelerator for WebGPU (17 MB).
DROPPED = (
    *(
        f"{STDLIB}/{name}/*"
        for name in ("test", "idlelib", "lib2to3", "ensurepip", "pydoc_data", "tkinter", "turtledemo")
    ),
    *(f"{STDLIB}/{name}" for name in ("config-*", "sitecustomize.py", "EXTERNALLY-MANAGED", "_sysconfigdata__linux_*")),
    *(f"{SITE}/*{end}" for end in (".pyi", ".pxd", ".pyx", ".h", ".hpp", ".a", ".lib", ".c", ".cpp")),
    *(f"{SITE}/{name}/*" for name in ("*/tests", "*/__pycache__", "numpy/f2py")),
    *(f"{SITE}/onnxruntime/{name}/*" for name in ("backend", "datasets", "quantization", "tools", "transformers")),
    f"{SITE}/onnxruntime/capi/libonnxruntime.so.*",
    f"{SITE}/cv2/data/*.xml",
    f"{SITE}/ai_edge_litert/libLiteRtWebGpuAccelerator.so",
    *(f"{SITE}/ai_edge_litert/{name}/*" for name in ("aot", "tools")),
)


def words(folder: str, machine: str) -> tuple[str, ...]:
    """Return what starts the Python of a tree that lies at `folder`: its own loader, with its own libraries.

    No variable says where those are: it would reach every program that Python starts.
    """
    return (f"{folder}/{LOADERS[machine]}", "--library-path", f"{folder}/lib", f"{folder}/{PROGRAM}")


def make(debs: Sequence[Deb], wheels: Path, machine: str, folder: Path) -> None:
    """Make a tree without bytecode.

    Args:
        debs: Debian's packages.
        wheels: a zip file of wheels.
        machine: of both, one of LOADERS.
        folder: that is empty.

    Raises:
        HostError: a package is not as it should be.
    """
    with tempfile.TemporaryDirectory() as raw:
        for deb in debs:
            debian.unpack(deb, Path(raw))
        _python(Path(raw), folder)
        _libraries(Path(raw), folder)
        _licences(Path(raw), folder)
    _unpack_wheels(wheels, folder / SITE)
    _drop(folder)
    if not all((folder / name).is_file() for name in (PROGRAM, LOADERS[machine])):
        raise HostError(f"Debian's packages for {machine} hold no {PROGRAM} and {LOADERS[machine]}.")


def _python(raw: Path, folder: Path) -> None:
    (folder / "bin").mkdir(parents=True)
    shutil.copy(raw / "usr" / PROGRAM, folder / PROGRAM)
    shutil.copytree(raw / "usr" / STDLIB, folder / STDLIB, symlinks=True)
    for link in [path for path in folder.rglob("*") if path.is_symlink()]:
        link.unlink()  # to Debian's own configuration, outside of the tree


def _libraries(raw: Path, folder: Path) -> None:
    """Copy shared libraries, each under the names that programs ask for: what a link leads to is not one of those."""
    found = [path for place in ("lib", "lib64", "lib/*-linux-gnu*", "usr/lib/*-linux-gnu*") for path in raw.glob(place)]
    files = [path for place in found for path in place.glob("*.so*") if path.is_file()]
    behind = {path.resolve() for path in files if path.is_symlink()}
    for path in files:
        if path.name.startswith("ld-") or path not in behind:
            shutil.copy(path, folder / "lib" / path.name)


def _licences(raw: Path, folder: Path) -> None:
    (folder / "licences").mkdir()
    for path in raw.glob("usr/share/doc/*/copyright"):
        shutil.copyfile(path, folder / "licences" / path.parent.name)


def _unpack_wheels(wheels: Path, site: Path) -> None:
    with zipfile.ZipFile(wheels) as archive, tempfile.TemporaryDirectory() as folder:
        for name in archive.namelist():
            with zipfile.ZipFile(archive.extract(name, folder)) as wheel:
                wheel.extractall(site)  # which lets no member out of the folder
    for data in site.glob("*.data/*lib"):  # purelib and platlib of PEP 427: the same place, under another name
        shutil.copytree(data, site, dirs_exist_ok=True)
    for data in site.glob("*.data"):
        shutil.rmtree(data)


def _drop(folder: Path) -> None:
    for path in _files(folder):
        name = str(path.relative_to(folder))
        if any(fnmatch.fnmatchcase(name, pattern) for pattern in DROPPED):
            path.unlink()
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.rglob("*")) if path.is_file())


def compile_modules(folder: Path, python: Sequence[str]) -> None:
    """Write bytecode for all modules of a tree: measuring processes write none, and each would compile numpy anew.

    The bytecode does not look at its source's time, so that it is the same in every build and wherever it is unpacked.

    Args:
        folder: the tree.
        python: what starts the very Python that the tree holds, for this machine.

    Raises:
        ProcessFailed: something cannot be compiled.
    """
    options = ["-q", "-q", "--invalidation-mode", "unchecked-hash", "-s", str(folder)]
    # Sets among a module's constants are written in the order of their hashes.
    env = {"PYTHONHASHSEED": "0", "LC_ALL": "C.UTF-8"}
    process.run([*python, "-m", "compileall", *options, str(folder / "lib")], deadline=Deadline(COMPILE_S), env=env)
