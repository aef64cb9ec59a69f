"""What happens on a device to unpack an archive of ours: one shell script, for there may be no Python yet.

It needs sh, tar, gzip, sha256sum, mv and rm, which coreutils, busybox and Android's toybox all have. An archive is
verified before it is unpacked, unpacked under another name, and gets its own name last: what was cut off by whatever is
never used, and is removed by the next try. What was not used for a month makes room for what is new.
"""

from __future__ import annotations

from dataclasses import dataclass

FOLDER = "bundles"  # in the device's folder

# Arguments: the device's folder, the name of what is unpacked, the archive's sha256.
SCRIPT = r"""
root=$1 name=$2 sha256=$3
folder=$root/bundles
final=$folder/$name
archive=$folder/$name.tar.gz

if [ -d "$final" ]; then
    rm -f "$archive"
    touch "$final"
    echo there
    exit
fi
if [ ! -f "$archive" ]; then
    echo missing
    exit
fi
said=$(sha256sum "$archive") || exit
if [ "${said%% *}" != "$sha256" ]; then
    rm -f "$archive"
    echo missing
    exit
fi
rm -rf "$folder"/*.new
find "$folder"/* -prune -mtime +30 -exec rm -rf {} \; 2> /dev/null  # what nobody used for a month
mkdir "$final.new" || exit
# Not tar -z: that of old Androids has none.
if gzip -dc "$archive" | tar -xf - -C "$final.new"; then
    sync  # or a cut of the power leaves the name with empty files
    mv "$final.new" "$final" && rm -f "$archive" && echo unpacked
else
    rm -rf "$final.new"
fi
"""


@dataclass(frozen=True)
class Unpacked:
    """How it ended: "there" from before, "unpacked" now, "missing" (to be sent), or "" where it failed."""

    word: str

    @property
    def done(self) -> bool:
        """Whether it lies there now."""
        return self.word in ("there", "unpacked")


def argv(name: str, sha256: str) -> list[str]:
    """Return the command line that unpacks bundles/NAME.tar.gz to bundles/NAME.

    Args:
        name: a plain file name.
        sha256: of the archive.
    """
    return ["sh", "-c", SCRIPT, "edgerig-unpack", "{root}", name, sha256]


def parsed(out: str) -> Unpacked:
    """Return what the script said."""
    word = out.strip()
    return Unpacked(word if word in ("there", "unpacked", "missing") else "")
