"""What is changed on a device while it is measured, and put back: governor, power mode, clocks.

What was found is written down beside the lease, in `former-<number of the lease>`, before anything is changed. Whoever
puts it back takes that file first, by renaming it, so that one does. There are three:

    the run itself, at its end
    a process that stays on the device and looks every few seconds whether the lease is still renewed: for a controller
        that was killed, and for a link that died without a word
    whoever takes the lease next (`targets/keeper.py`): for a device whose power went

All is POSIX sh. What needs root is done as root, or by `sudo -n`, which never asks for a password, or not at all. No
question that changes anything is answered with yes: some power modes of a Jetson want to reboot it. (That jetson_clocks
may write over a file of ours, it is told.)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

SYS = "/sys"
CLOCKS = "/run/edgerig-clocks"  # root's own folder, empty after a boot as the clocks are then
POLL_S = 10.0  # between looks of the process that stays: two short programs each
NAMES = ("nvpmodel", "governor", "clocks")  # in the order of setting; it is put back in the other one
MOST_PATHS = 64

# Functions for all scripts that touch settings. A line of the file: what, where, the value to put back.
FUNCTIONS = r"""
now() {
    { read -r up rest < /proc/uptime && up=${up%%.*}; } || up=$(date +%s)
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi; }

write() {
    if [ -w "$2" ]; then printf '%s\n' "$1" > "$2"; else printf '%s\n' "$1" | sudo -n tee "$2" > /dev/null; fi
} 2> /dev/null

mode() { nvpmodel -q < /dev/null 2> /dev/null | sed -n '/^[0-9][0-9]*$/p' | tail -n 1; }

set_mode() {
    said=$(printf 'no\n' | as_root nvpmodel -m "$1" 2>&1)
    [ "$(mode)" = "$1" ]
}

put_back() {
    stays=0
    while read -r what where value; do
        case $what:$where in
        governor:*/cpufreq/policy*/scaling_governor)
            if read -r is < "$where" && [ "$is" != "$value" ]; then write "$value" "$where" || stays=1; fi ;;
        nvpmodel:*) [ "$(mode)" = "$value" ] || set_mode "$value" || stays=1 ;;
        clocks:*) [ ! -e "$where" ] || as_root jetson_clocks --restore "$where" < /dev/null || stays=1 ;;
        esac
    done < "$1" > /dev/null 2>&1
    return "$stays"
}

# Sets `left` to a file of what was changed under one lease ($2) and `busy` to the process that has taken it.
pending() {
    for left in "$1/former-$2" "$1/former-$2".*; do
        busy=${left#"$1/former-$2"}
        busy=${busy#.}
        if [ -e "$left" ]; then return; fi
    done
    return 1
}

# Puts back what was changed under one lease ($2); waits for another process that is at it.
settle() {
    tried=0
    mine=$1/former-$2.$$
    while pending "$1" "$2"; do
        tried=$((tried + 1))
        if [ "$tried" -gt 60 ]; then return 1; fi
        if [ -n "$busy" ] && [ "$left" != "$mine" ] && [ "$tried" -lt 50 ] && kill -0 "$busy" 2> /dev/null; then
            sleep 0.2
        elif [ "$left" = "$mine" ] || mv "$left" "$mine" 2> /dev/null; then
            put_back "$mine" || { mv "$mine" "$1/former-$2"; return 1; }
            rm -f "$mine"
        fi
    done
}

# The same for all leases but one ($2).
repair() {
    failed=0
    for each in "$1"/former-*; do
        number=${each##*/former-}
        number=${number%%.*}
        case $number in "$2" | *[!0-9]*) ;; *) settle "$1" "$number" || failed=1 ;; esac
    done
    return "$failed"
}
"""

# Arguments: folder of the leases, number of ours, seconds until it expires, seconds between looks.
WATCH = (
    FUNCTIONS
    + r"""
trap '' HUP INT
cd / || exit
folder=$1 n=$2 expiry=$3 poll=$4
while sleep "$poll" && [ -e "$folder/former-$n" ]; do
    said=$(readlink "$folder/$n") || break
    if [ -e "$folder/$n.free" ] || [ -L "$folder/$((n + 1))" ]; then break; fi
    beat=${said%% *}
    if read -r boot t < "$folder/$n.beat"; then
        case $t in '' | *[!0-9]*) ;; *) beat=$t ;; esac
    fi 2> /dev/null
    now
    if [ "$((up - beat))" -gt "$expiry" ]; then break; fi
done
settle "$folder" "$n"
"""
)

# Arguments: WATCH and its arguments, the kernel's folder, where clocks are stored, and what is wanted, "" for nothing:
# power mode, governor, clocks. Says "done WHAT BEFORE NOW" or "not WHAT WHY BEFORE", and what sudo would have to allow.
APPLY = (
    FUNCTIONS
    + r"""
trap '' HUP
watch=$1 folder=$2 n=$3 expiry=$4 poll=$5 sys=$6 store=$7 nvpmodel=$8 governor=$9
shift 9
clocks=$1
former=$folder/former-$n

stay() {
    started=1
    set -- sh -c "$watch" edgerig-settings "$folder" "$n" "$expiry" "$poll"
    if command -v setsid > /dev/null; then set -- setsid "$@"; fi
    "$@" < /dev/null > /dev/null 2>&1 &
}

record() {
    { echo "$*"; cat "$former"; } > "$former.new" 2> /dev/null
    mv "$former.new" "$former" || exit
    sync "$former" 2> /dev/null || sync
    [ "$started" ] || stay
}

why() {
    case $said in *[Rr]eboot*) echo reboot ;; *sudo* | *assword*) echo denied ;; *) echo refused ;; esac
}

set_nvpmodel() {
    command -v nvpmodel > /dev/null || { echo "not nvpmodel absent -"; return; }
    was=$(mode)
    if [ -z "$was" ]; then echo "not nvpmodel unreadable -"; return; fi
    if [ "$was" != "$nvpmodel" ]; then
        record "nvpmodel - $was"
        if ! set_mode "$nvpmodel"; then echo "not nvpmodel $(why) $was"; return; fi
    fi
    echo "done nvpmodel $was $nvpmodel"
}

set_governor() {
    failed='' before='' policies=''
    for file in "$sys"/devices/system/cpu/cpufreq/policy[0-9]*/scaling_governor; do
        read -r was < "$file" || continue
        policies="$policies $file"
        case +$before+ in *+"$was"+*) ;; *) before=${before:+$before+}$was ;; esac
        grep -qw -e "$governor" "${file%/*}/scaling_available_governors" || failed=unknown
    done 2> /dev/null
    if [ -z "$before" ]; then echo "not governor absent -"; return; fi
    if [ "$failed" ]; then echo "not governor unknown $before"; return; fi
    for file in $policies; do
        read -r was < "$file"
        if [ "$was" = "$governor" ]; then continue; fi
        record "governor $file $was"
        write "$governor" "$file"
        read -r is < "$file"
        if [ "$is" != "$governor" ]; then failed=denied; echo "path $file"; fi
    done
    if [ "$failed" ]; then echo "not governor $failed $before"; else echo "done governor $before $governor"; fi
}

set_clocks() {
    command -v jetson_clocks > /dev/null || { echo "not clocks absent -"; return; }
    said=$(printf 'y\n' | as_root jetson_clocks --store "$store" 2>&1) || { echo "not clocks $(why) -"; return; }
    record "clocks $store -"
    said=$(as_root jetson_clocks < /dev/null 2>&1) || { echo "not clocks $(why) -"; return; }
    echo "done clocks stored fixed"
}

started=
if ! repair "$folder" none; then
    echo stuck
    exit
fi
[ -z "$nvpmodel" ] || set_nvpmodel
[ -z "$governor" ] || set_governor
[ -z "$clocks" ] || set_clocks
echo "user $(id -un)"
for tool in tee nvpmodel jetson_clocks; do echo "tool $tool $(command -v "$tool")"; done
"""
)

# Arguments: folder of the leases, number of ours.
RESTORE = (
    FUNCTIONS
    + r"""
set -- "$1" "$2" "$1/former-$2"
if [ ! -e "$3" ]; then
    settle "$1" "$2"
    echo earlier
elif settle "$1" "$2"; then
    echo back
else
    echo stays
fi
"""
)

REASONS = {
    "denied": "that needs root, or sudo without a password",
    "absent": "the device has nothing of the kind",
    "unreadable": "what is set now cannot be read",
    "unknown": "the device does not offer it",
    "reboot": "the device would have to reboot for it, which edgerig never confirms",
    "refused": "the device did not take it",
    "stuck": "what an earlier run changed could not be put back",
}


@dataclass(frozen=True)
class Wanted:
    """What is to be set; None and False leave it as it is found."""

    nvpmodel: int | None = None
    governor: str | None = None
    clocks: bool = False

    def words(self) -> list[str]:
        """Return the values as a script takes them, in the order of NAMES."""
        number = "" if self.nvpmodel is None else str(self.nvpmodel)
        return [number, self.governor or "", "fixed" if self.clocks else ""]

    def names(self) -> list[str]:
        """Return what is to be set at all."""
        return [name for name, word in zip(NAMES, self.words(), strict=True) if word]


@dataclass(frozen=True)
class Setting:
    """What became of one setting.

    Attributes:
        name: of NAMES.
        wanted: the value that was asked for.
        before: the value that was found, "" where it is not known.
        problem: a key of REASONS, "" where it was set.
    """

    name: str
    wanted: str
    before: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Applied:
    """What became of all of them, and the line for sudoers that would have helped, "" where none would."""

    settings: tuple[Setting, ...]
    sudoers: str = ""


def apply_argv(wanted: Wanted, leases: str, number: int, expiry_s: int) -> list[str]:
    """Return the command line that sets what is wanted.

    Args:
        wanted: what.
        leases: folder of the leases on the device.
        number: of the lease under which it is done.
        expiry_s: a lease that was not renewed for so long is lost, and what was found is put back.
    """
    watch = [leases, str(number), str(expiry_s), f"{POLL_S:g}"]
    return ["sh", "-c", APPLY, "edgerig-settings", WATCH, *watch, SYS, CLOCKS, *wanted.words()]


def restore_argv(leases: str, number: int) -> list[str]:
    """Return the command line that puts back what was set under a lease."""
    return ["sh", "-c", RESTORE, "edgerig-settings", leases, str(number)]


_LINE = re.compile(r"(done|not) (nvpmodel|governor|clocks) ([a-z_0-9+]{1,64}) ([a-z_0-9+]{1,64}|-)")
_USER = re.compile(r"user ([A-Za-z_][A-Za-z0-9_.-]{0,31})")
_PATH = re.compile(r"path (/[A-Za-z0-9_./-]{1,200})")
_TOOL = re.compile(r"tool (tee|nvpmodel|jetson_clocks) (/[A-Za-z0-9_./-]{1,200})")


def parsed(wanted: Wanted, said: str) -> Applied:
    """Return what a device says that it did; what it does not speak of was refused."""
    lines = said.splitlines()
    values = dict(zip(NAMES, wanted.words(), strict=True))
    missing = "stuck" if "stuck" in lines else "refused"
    found = {name: Setting(name, values[name], problem=missing) for name in wanted.names()}
    for line in lines:
        if (match := _LINE.fullmatch(line)) and match[2] in found:
            found[match[2]] = _setting(match, values[match[2]])
    denied = [setting.name for setting in found.values() if setting.problem == "denied"]
    return Applied(tuple(found.values()), _sudoers(wanted, denied, found, lines) if denied else "")


def _setting(match: re.Match[str], wanted: str) -> Setting:
    word, name, third, fourth = match.groups()
    if word == "done":
        return Setting(name, wanted, third)
    return Setting(name, wanted, "" if fourth == "-" else fourth, third if third in REASONS else "refused")


def _sudoers(wanted: Wanted, denied: Sequence[str], found: dict[str, Setting], lines: Sequence[str]) -> str:
    """Return the line that allows just what was denied: whole commands, for "*" there would match blanks as well."""
    user = next((match[1] for line in lines if (match := _USER.fullmatch(line))), "USER")
    tools = {match[1]: match[2] for line in lines if (match := _TOOL.fullmatch(line))}
    paths = [match[1] for line in lines if (match := _PATH.fullmatch(line))][:MOST_PATHS]
    commands: list[str] = []
    if "governor" in denied:
        commands += [f"{tools.get('tee', '/usr/bin/tee')} {path}" for path in paths]
    if "nvpmodel" in denied:
        modes = dict.fromkeys((str(wanted.nvpmodel), found["nvpmodel"].before))
        commands += [f"{tools.get('nvpmodel', '/usr/sbin/nvpmodel')} -m {mode}" for mode in modes if mode]
    if "clocks" in denied:
        tool = tools.get("jetson_clocks", "/usr/bin/jetson_clocks")
        commands += [f'{tool} ""', f"{tool} --store {CLOCKS}", f"{tool} --restore {CLOCKS}"]
    return f"{user} ALL=(root) NOPASSWD: {', '.join(commands)}"
