"""What happens on a device to keep its lease: one shell script, spoken with by lines.

The device's folder of leases holds symbolic links that are numbered. The highest number is the lease, what the link
says is who has it and since when; `ln -s` makes it with its content or not at all, and one of two who want the same
number gets it. Numbers only grow: a lease that ended is overtaken by the next number and never removed first, so that
somebody who looked a moment ago cannot take away what another one has taken since.

    7          -> "<seconds since boot> <boot> <owner as JSON>"
    7.beat     "<boot> <seconds since boot>", written anew at each beat
    7.free     the holder let go
    former-7   what was set on the device under it, to be put back (`targets/settings.py`)

Time is the device's since its boot, which no clock that is set can disturb; after another boot everything was last
heard of at boot. A beat forks nothing in shells whose echo is their own: it writes 50 bytes, nothing more.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from targets.settings import FUNCTIONS

# Arguments: folder, word (hold | show), token, owner, seconds until a lease expires, number that may be overtaken.
SCRIPT = (
    FUNCTIONS
    + r"""
folder=$1 word=$2 token=$3 owner=$4 expiry=$5 dead=$6
boot=unknown
read -r boot < /proc/sys/kernel/random/boot_id || :

last() {
    n=0
    for path in "$folder"/[0-9]*; do
        k=${path##*/}
        case $k in *[!0-9]*) continue ;; esac
        if [ "$k" -gt "$n" ]; then n=$k; fi
    done
}

# Sets who, age (seconds since n was heard of) and since (seconds that it is held, -1: unknown); fails where n is gone.
look() {
    said=$(readlink "$folder/$n") || return 1
    beat=${said%% *}
    rest=${said#* }
    born=${rest%% *}
    who=${rest#* }
    now
    since=-1
    if [ "$born" = "$boot" ]; then since=$((up - beat)); fi
    if read -r b t < "$folder/$n.beat"; then
        case $t in '' | *[!0-9]*) ;; *) born=$b beat=$t ;; esac
    fi 2> /dev/null
    age=$((up - beat))
    if [ "$born" != "$boot" ] || [ "$age" -lt 0 ]; then age=$up; fi
}

is_free() { [ "$n" -eq 0 ] || [ -e "$folder/$n.free" ]; }

show() {
    tries=0
    while last && ! is_free && [ "$tries" -lt 100 ]; do
        tries=$((tries + 1))
        if look; then
            printf 'held %s %s %s %s %s\n' "$n" "$boot" "$age" "$since" "$who"
            exit
        fi
    done
    echo "free $n $boot"
    exit
}

hold() {
    mkdir -p "$folder" || exit
    tries=0
    while last; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ]; then exit; fi  # what lies there is not ours
        if ! is_free; then
            look || continue
            case $who in *"$token"*) return ;; esac
            if [ "$age" -le "$expiry" ] && [ "$n" != "$dead" ]; then show; fi
        fi
        mine=$((n + 1))
        now
        if ! ln -s "$up $boot $owner" "$folder/$mine" 2> /dev/null; then
            if [ -L "$folder/$mine" ]; then continue; fi
            ln -s "$up $boot $owner" "$folder/$mine" || exit  # once more, for what it complains of
        fi
        last
        if [ "$n" -eq "$mine" ]; then return; fi
        rm -f "$folder/$mine"
    done
}

prune() {
    for path in "$folder"/[0-9]*; do
        k=${path##*/}
        k=${k%%.*}
        if [ "$k" -lt "$n" ]; then rm -f "$path"; fi
    done
}

if [ "$word" = show ]; then show; fi
hold
prune
repair "$folder" "$n" < /dev/null > /dev/null 2>&1 || :
echo "mine $n $boot"
while read -r word; do
    case $word in
    beat)
        now
        if [ -L "$folder/$((n + 1))" ] || [ ! -L "$folder/$n" ]; then
            echo lost
            exit
        elif echo "$boot $up" 1<> "$folder/$n.beat"; then
            echo ok
        else
            echo failed
        fi
        ;;
    free)
        : > "$folder/$n.free"
        echo freed
        exit
        ;;
    esac
done
"""
)

LONGEST_LINE = 4096  # bytes of an answer; a link cannot say more


def argv(folder: str, word: str, token: str = "", owner: str = "", expiry_s: int = 0, dead: int = 0) -> list[str]:
    """Return the command line of a keeper.

    Args:
        folder: of the leases, `{root}` for the device's folder.
        word: "hold" takes the lease and keeps it; "show" tells about it and ends.
        token: what tells this holder from all others; the owner's text contains it.
        owner: one line of text without quotes of its own meaning, e.g. JSON in ASCII.
        expiry_s: a lease that was not heard of for longer may be overtaken.
        dead: a lease of this number may be overtaken at once, 0 for none.
    """
    return ["sh", "-c", SCRIPT, "edgerig-lease", folder, word, token, owner, str(expiry_s), str(dead)]


@dataclass(frozen=True)
class Answer:
    """What a keeper says about the lease.

    Attributes:
        word: "mine", "held" by another one, or "free".
        number: of the lease; 0 where there never was one.
        boot: tells one boot of one kernel from all others.
        age_s: since the holder was heard of.
        since_s: since it is held; None where the device was booted since.
        owner: what the holder said of itself; from the device, so not to be trusted.
    """

    word: str
    number: int
    boot: str
    age_s: int = 0
    since_s: int | None = None
    owner: str = ""


_ANSWER = re.compile(
    r"(?P<word>mine|free|held) (?P<number>[0-9]{1,9}) (?P<boot>[0-9a-z-]{1,64})"
    r"( (?P<age>[0-9]{1,12}) (?P<since>-?[0-9]{1,12}) (?P<owner>.*))?"
)


def parsed(line: str) -> Answer | None:
    """Return what a keeper's line says, None where it is none."""
    match = _ANSWER.fullmatch(line)
    if not match:
        return None
    since = int(match["since"] or -1)
    return Answer(
        match["word"],
        int(match["number"]),
        match["boot"],
        int(match["age"] or 0),
        None if since < 0 else since,
        match["owner"] or "",
    )
