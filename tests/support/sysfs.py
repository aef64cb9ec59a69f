"""A kernel's folder of files and a Jetson's tools, as far as settings touch them, in a folder of the test's own."""

from __future__ import annotations

import os
from pathlib import Path

NVPMODEL = """
case $1 in
-q) printf 'NV Power Mode: SOME\\n%s\\n' "$(cat {home}/mode)" ;;
-m)
    if [ "$2" = 3 ]; then
        echo "NVPM WARN: Reboot required for changing to this power mode: 3"
        echo "NVPM WARN: DO YOU WANT TO REBOOT NOW? enter YES/yes to confirm:"
        read -r answer
        case $answer in YES | yes) : > {home}/rebooted ;; *) echo "NVPM ERROR: bad input!"; exit 255 ;; esac
    fi
    echo "$2" > {home}/mode ;;
esac
"""

JETSON_CLOCKS = """
case $1 in
--store)
    if [ -e "$2" ]; then
        echo "File $2 already exists. Can I overwrite it? Y/N:"
        read -r answer
        [ "$answer" = y ] || exit 1
    fi
    cp {home}/clocks "$2" ;;
--restore) cp "$2" {home}/clocks ;;
'') echo fixed > {home}/clocks ;;
esac
"""


class Device:
    """What settings find on a device.

    Args:
        home: folder for all of it.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.bin = home / "bin"
        self.bin.mkdir(parents=True)
        self.path = f"{self.bin}:{os.environ['PATH']}"
        for number, governor in enumerate(("schedutil", "ondemand")):
            policy = home / f"devices/system/cpu/cpufreq/policy{4 * number}"
            policy.mkdir(parents=True)
            (policy / "scaling_governor").write_text(f"{governor}\n")
            (policy / "scaling_available_governors").write_text("ondemand schedutil performance \n")

    def jetson(self) -> None:
        """Give it a Jetson's tools, with mode 2 and clocks that move."""
        (self.home / "mode").write_text("2\n")
        (self.home / "clocks").write_text("dynamic\n")
        self.tool("nvpmodel", NVPMODEL)
        self.tool("jetson_clocks", JETSON_CLOCKS)

    def tool(self, name: str, script: str) -> None:
        """Put a program before all others of its name."""
        path = self.bin / name
        path.write_text("#!/bin/sh\n" + script.replace("{home}", str(self.home)))
        path.chmod(0o755)

    @property
    def governors(self) -> list[str]:
        """What the kernel says now."""
        return [path.read_text().strip() for path in sorted(self.home.glob("**/scaling_governor"))]

    def state(self, name: str) -> str:
        """Return "mode" or "clocks" as they are now."""
        return (self.home / name).read_text().strip()
