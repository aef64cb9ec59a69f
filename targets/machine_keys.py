"""Keys between this controller and a machine that it boots: new ones at each boot, known to nobody else.

The machine is given its own key and ours before it starts, so that nothing is taken on trust: an SSH server that
answers on its port and is not this very machine is refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_KIND = b"ssh-ed25519"


@dataclass(frozen=True)
class Keys:
    """What each side is given.

    Attributes:
        host: the machine's key, as dropbear reads it.
        host_public: the same as known_hosts tells it, "ssh-ed25519 AAAA…".
        ours: our key, as OpenSSH and paramiko read it.
        ours_public: the line of authorized_keys.
    """

    host: bytes
    host_public: str
    ours: bytes
    ours_public: str


def new() -> Keys:
    """Return a new pair for each side."""
    host, ours = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    return Keys(
        host=_dropbear(host),
        host_public=_public(host),
        ours=ours.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        ours_public=_public(ours),
    )


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()


def _dropbear(key: Ed25519PrivateKey) -> bytes:
    """Return a key in dropbear's own format: its kind, then seed and public half as one string (its ed25519.c)."""
    seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
    both = seed + key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return b"".join(struct.pack(">I", len(text)) + text for text in (_KIND, both))


def ssh_config(folder: Path, alias: str, port: int, keys: Keys) -> Path:
    """Write our key, the machine's, and a configuration that names both; return that, for `ssh -F` as well.

    Args:
        folder: that only we can read.
        alias: what the machine is called.
        port: of this machine, that leads to the other's SSH server.
        keys: of both.
    """
    key, known = folder / "key", folder / "known_hosts"
    key.touch(0o600)
    key.write_bytes(keys.ours)
    known.write_text(f"[127.0.0.1]:{port} {keys.host_public}\n")
    settings = {
        "HostName": "127.0.0.1",
        "Port": str(port),
        "User": "root",
        "IdentityFile": f'"{key}"',
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": str(known).replace(" ", "\\ "),
    }
    path = folder / "ssh_config"
    path.write_text(f"Host {alias}\n" + "".join(f"    {name} {value}\n" for name, value in settings.items()))
    return path
