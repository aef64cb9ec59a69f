"""A root like Android's: no /tmp, no /etc, no /dev/shm, user 2000, toybox's commands, a little and a big core.

Programs run in it by chroot, in a mount namespace where /proc is the real one but for cpuinfo: that of this machine
would name its own processors. Whoever is not root gets a user namespace instead, in which there is only one user.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import psutil

from tests.needs import require

USER = 2000  # "shell"
BUSYBOX = shutil.which("busybox") or "/bin/busybox"

# Those of toybox on Android 12 that edgerig could want; source: AOSP, external/toybox/Android.bp.
TOOLS = (
    *("awk", "cat", "chmod", "cp", "cut", "date", "df", "dirname", "du", "echo", "env", "expr", "false", "find"),
    *("grep", "gunzip", "gzip", "head", "id", "kill", "ln", "ls", "mkdir", "mktemp", "mv", "nohup", "od", "printf"),
    *("ps", "pwd", "readlink", "realpath", "rm", "rmdir", "sed", "setsid", "sh", "sha256sum", "sleep", "sort", "stat"),
    *("sync", "tail", "tar", "taskset", "test", "timeout", "touch", "tr", "true", "uname", "uptime", "wc", "xargs"),
)
ENVIRONMENT = {
    "PATH": "/system/bin",
    "HOME": "/",
    "TMPDIR": "/data/local/tmp",
    "ANDROID_ROOT": "/system",
    "ANDROID_DATA": "/data",
    "SHELL": "/bin/sh",
    "USER": "shell",
    "LOGNAME": "shell",
}

CPUINFO = "".join(
    f"processor\t: {number}\nBogoMIPS\t: 38.40\nFeatures\t: fp asimd evtstrm aes pmull sha1 sha2 crc32\n"
    f"CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: {part}\nCPU revision\t: 0\n\n"
    for number, part in enumerate(("0xd05", "0xd0b"))
)
_HERE = sorted(os.sched_getaffinity(0))
CORES = {_HERE[0]: (1804800, 420), _HERE[-1]: (2841600, 1024)}  # kHz at most, capacity

# Written after the dump functions of AOSP's BatteryService and ThermalManagerService.
BATTERY = """Current Battery Service state:
  AC powered: false
  USB powered: true
  Wireless powered: false
  Max charging current: 500000
  Max charging voltage: 5000000
  Charge counter: 2417000
  status: 2
  health: 2
  present: true
  level: {level}
  scale: 100
  voltage: 4123
  temperature: 291
  technology: Li-ion
"""
THERMAL = """IsStatusOverride: false
ThermalEventListeners:
\tcallbacks: 1
ThermalStatusListeners:
\tcallbacks: 1
Thermal Status: {status}
Cached temperatures:
\tTemperature{{mValue=31.2, mType=3, mName=skin, mStatus=0}}
HAL Ready: true
HAL connection:
\tThermalHAL 2.0 connected: yes
Current temperatures from HAL:
\tTemperature{{mValue=41.5, mType=0, mName=cpu-0, mStatus=0}}
\tTemperature{{mValue=43.25, mType=0, mName=cpu-1, mStatus=0}}
\tTemperature{{mValue=29.1, mType=2, mName=battery, mStatus=0}}
\tTemperature{{mValue=31.2, mType=3, mName=skin, mStatus=0}}
"""
POWER = """POWER MANAGER (dumpsys power)

Power Manager State:
  mDirty=0x0
  mWakefulness=Asleep
  mWakefulnessChanging=false
  mIsPowered=true
"""
DUMPSYS = '#!/system/bin/sh\ncat "/system/etc/dump/$1" 2> /dev/null || echo "Can\'t find service: $1"\n'
GETPROP = (
    "#!/system/bin/sh\ncase $1 in\n"
    "ro.product.manufacturer) echo Edge ;;\nro.product.model) echo 'Test Phone' ;;\n"
    "ro.build.version.release) echo 13 ;;\nro.build.version.sdk) echo 33 ;;\nesac\n"
)

# Arguments: root, folder of files that shadow those of /proc, user or "", then the program.
ENTER = """
root=$1 shadows=$2 user=$3
shift 3
mount --rbind /proc "$root/proc" && mount --bind "$shadows/cpuinfo" "$root/proc/cpuinfo" || exit 125
for node in null zero urandom; do mount --bind "/dev/$node" "$root/dev/$node" || exit 125; done
exec chroot ${user:+--userspec=$user:$user --groups=$user} "$root" "$@"
"""


class Android:
    """The root and the programs in it.

    Args:
        folder: for the root.
    """

    def __init__(self, folder: Path) -> None:
        require(Path(BUSYBOX).is_file(), "busybox is missing: install busybox-static")
        require("unshare", "unshare of util-linux is missing")
        self.root = folder / "root"
        self._shadows = folder / "proc"
        self._make()
        permitted = subprocess.run(self._enter("/system/bin/true"), capture_output=True, check=False)
        require(permitted.returncode == 0, f"this machine lets nobody make a root: {permitted.stderr.decode()}")

    def _make(self) -> None:
        tools = self.root / "system/bin"
        for name in ("proc", "dev", "system/bin", "system/etc/dump", "data/local/tmp", "sys/devices/system/cpu"):
            (self.root / name).mkdir(parents=True)
        shutil.copy(BUSYBOX, tools / "busybox")
        for name in TOOLS:
            (tools / name).symlink_to("busybox")
        for name, text in {"dumpsys": DUMPSYS, "getprop": GETPROP}.items():
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        for node in ("null", "zero", "urandom"):
            (self.root / "dev" / node).touch()
        self._shadows.mkdir()
        (self._shadows / "cpuinfo").write_text(CPUINFO)
        for number, (most, capacity) in CORES.items():
            self._file(f"sys/devices/system/cpu/cpu{number}/cpufreq/cpuinfo_max_freq", f"{most}\n")
            self._file(f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_cur_freq", f"{most}\n")
            self._file(f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_governor", "schedutil\n")
            self._file(f"sys/devices/system/cpu/cpu{number}/cpu_capacity", f"{capacity}\n")
        self.state(level=87, status=0)
        self._file("system/etc/dump/power", POWER)
        (self.root / "data/local/tmp").chmod(0o777 if os.geteuid() else 0o771)
        if os.geteuid() == 0:
            os.chown(self.root / "data/local/tmp", USER, USER)

    def _file(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def state(self, level: int = 87, status: int = 0) -> None:
        """Set the battery's level and the thermal status."""
        self._file("system/etc/dump/battery", BATTERY.format(level=level))
        self._file("system/etc/dump/thermalservice", THERMAL.format(status=status))

    def _enter(self, *words: str) -> list[str]:
        root = os.geteuid() == 0
        space = ["unshare", "--mount"] if root else ["unshare", "--map-root-user", "--mount"]
        return [
            *space,
            "sh",
            "-c",
            ENTER,
            "enter",
            str(self.root),
            str(self._shadows),
            str(USER) if root else "",
            *words,
        ]

    def start(self, command: str, *words: str) -> subprocess.Popen[bytes]:
        """Start a command line of the phone's shell, with arguments, as its user in its root."""
        argv = self._enter("/system/bin/sh", "-c", command, "sh", *words)
        path = {"PATH": f"{ENVIRONMENT['PATH']}:{os.environ['PATH']}"}  # for what enters
        return subprocess.Popen(
            argv,
            env={**ENVIRONMENT, **path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def stat(self, path: str) -> tuple[int, int, int]:
        """Return mode, size and time of a file, zeros where there is none."""
        try:
            found = (self.root / path.lstrip("/")).stat()
        except OSError:
            return 0, 0, 0
        return found.st_mode, found.st_size & 0xFFFFFFFF, int(found.st_mtime)

    def programs(self) -> list[psutil.Process]:
        """Return what runs in the root."""
        return [process for process in psutil.process_iter() if _root_of(process) == str(self.root)]

    def close(self) -> None:
        """End all that runs there."""
        for process in self.programs():
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue


def _root_of(process: psutil.Process) -> str:
    try:
        return str(Path(f"/proc/{process.pid}/root").readlink())
    except OSError:
        return ""
