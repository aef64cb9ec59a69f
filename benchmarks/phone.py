"""The same int8 variant on this machine, on emulated ARM and on a phone of ours behind adb: what a first run costs, and
what a second one, and whether all three score alike.

    python benchmarks/phone.py [--sample 16] [--json]

It needs adb, busybox-static, qemu-user-static and a bundle (`edgerig bundle build`). The phone is the test's: an
Android-like root whose programs run under qemu, so that its seconds say what is sent and unpacked, not how fast a phone
is. Ends with status 1 where scores differ or a second run sends anything.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

import click

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from harness import places  # noqa: E402 - the tests' phone lies beside, and is not installed
from tests.devices import adbd  # noqa: E402
from tests.devices.adbd import Phone  # noqa: E402

TARGETS = ("x86", "emulated-arm64", "phone")
VARIANT = "mobilenetv3-small-int8"
QEMU = "qemu-aarch64-static"
CONFIGURATION = """
[targets.phone]
extends = "android"
address = "{address}"
launcher = ["/data/local/{qemu}", "-cpu", "cortex-a76"]
emulated = true
"""


class Bench:
    """A folder to run commands in, with a cache that knows nothing yet but the bundle."""

    def __init__(self, folder: Path, phone: Phone) -> None:
        self.folder = folder
        shutil.copy(str(shutil.which(QEMU)), phone.android.root / "data/local" / QEMU)
        (folder / "edgerig.toml").write_text(CONFIGURATION.format(address=phone.address, qemu=QEMU))
        own = {"EDGERIG_CACHE": str(folder / "cache"), "EDGERIG_BUNDLES": str(places.bundles())}
        self._environment = {**os.environ, **own, "PYTHONPATH": str(ROOT)}

    def json(self, *words: str) -> Any:
        """Run `edgerig WORDS --json` and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "harness", *words, "--json"],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            check=True,
        )
        return json.loads(done.stdout)

    def pushed(self, run: str) -> dict[str, int]:
        """Return the bytes of models and faces that a run sent, by target; none where its cells were cached."""
        lines = (self.folder / run / "journal.jsonl").read_text().splitlines()
        events = [event for line in lines if (event := json.loads(line))["event"] == "pushed"]
        return {event["target"]: event["bytes"] for event in events}


def provisioned(bench: Bench, target: str) -> dict[str, float]:
    """Return what making a target ready costs, twice: seconds and bytes."""
    found: dict[str, float] = {}
    for time in ("first", "second"):
        begin = perf_counter()
        told = bench.json("provision", target)
        found |= {f"{time}_s": perf_counter() - begin, f"{time}_bytes": told[0]["sent_bytes"]}
    return found


def measured(sample: int) -> dict[str, Any]:
    """Return all figures."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with adbd.serving(folder), adbd.running(folder / "phone") as phone:
            bench = Bench(folder, phone)
            provision = {target: provisioned(bench, target) for target in TARGETS}
            words = ("--target", ",".join(TARGETS), "--quick", "--sample", str(sample), "--variants", VARIANT)
            runs = [bench.json("run", *words) for _ in range(2)]
            return {
                "provision": provision,
                "pushed": [bench.pushed(run["folder"]) for run in runs],
                "agreement": runs[1]["agreement"],
            }


@click.command(help=(__doc__ or "").split("\n\n", maxsplit=1)[0])
@click.option("--sample", default=16, show_default=True, help="Faces that are scored.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def main(sample: int, as_json: bool) -> None:
    """Measure and print."""
    found = measured(sample)
    if as_json:
        print(json.dumps(found, indent=2))
    else:
        tell(found)
    alike = len(found["agreement"]) == len(TARGETS) - 1 and all(one["identical"] for one in found["agreement"])
    sys.exit(0 if alike and not any(found["pushed"][1].values()) else 1)


def tell(found: dict[str, Any]) -> None:
    """Print the figures for people."""
    for target in TARGETS:
        costs, pushed = found["provision"][target], [run.get(target, 0) / 1e6 for run in found["pushed"]]
        print(
            f"{target}: made ready in {costs['first_s']:.1f} s ({costs['first_bytes'] / 1e6:.1f} MB sent), "
            f"again in {costs['second_s']:.1f} s ({costs['second_bytes'] / 1e6:.1f} MB); "
            f"models and faces {pushed[0]:.1f} MB, again {pushed[1]:.1f} MB"
        )
    for one in found["agreement"]:
        here = one["here"]["target"]
        word = (
            "bit-identical" if one["identical"] else f"different by {one['largest_difference']}, {one['flips']} flips"
        )
        print(f"scores of {one['faces']} faces on {here} and on {one['reference']['target']}: {word}")


if __name__ == "__main__":
    main()
