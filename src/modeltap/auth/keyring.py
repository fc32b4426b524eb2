"""The access keys, sealed on disk under a master key.

    keys/master.key     0400, 32 random bytes
    keys/keyring.json   0600, {"version": 1, "keys": [{"access_key_id", "sealed", "created"}]}

`sealed` is base64 of a 12-byte nonce and the AES-256-GCM ciphertext of the secret, with the key id
as associated data. SigV4 needs the secret itself, so it cannot be hashed. Opening a folder for the
first time makes one key; several processes may do so at once. Whoever can read `master.key` can
sign: it never leaves this folder.
"""

import base64
import secrets
import string
from pathlib import Path
from typing import Any

import orjson
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from modeltap.auth import files
from modeltap.clock import Clock, stamp
from modeltap.errors import KeysRefused

MASTER = "master.key"
KEYRING = "keyring.json"

_NONCE_BYTES = 12
_ID_ALPHABET = string.ascii_uppercase + "234567"
_SECRET_ALPHABET = string.ascii_letters + string.digits  # no sign that a shell would have to quote


class Keyring:
    """The keys that may sign, held open in memory."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = keys

    @classmethod
    def open(cls, folder: Path, clock: Clock) -> "Keyring":
        """Open the key ring of a folder, and make it at the first start.

        Raise `KeysRefused` where others may read it, or where it is not sealed under its master.
        """
        files.private_folder(folder)
        if (folder / KEYRING).exists() and not (folder / MASTER).exists():
            raise KeysRefused(f"{folder / MASTER} is gone, and the key ring cannot be read without")
        master = files.publish_once(folder / MASTER, secrets.token_bytes(32), mode=0o400)
        fresh = {"version": 1, "keys": [_sealed(master, clock.now_ns())]}
        ring = files.publish_once(folder / KEYRING, orjson.dumps(fresh))
        try:
            return cls(_opened(master, orjson.loads(ring)))
        except (InvalidTag, ValueError, KeyError, TypeError) as error:
            raise KeysRefused(f"{folder / KEYRING} is not sealed under {MASTER}") from error

    def secret(self, key_id: str) -> bytes | None:
        """Give the secret of an access key, or None."""
        return self._keys.get(key_id)

    def first(self) -> tuple[str, str]:
        """Give the oldest key, id and secret, for the owner's own environment."""
        key_id, secret = next(iter(self._keys.items()))
        return key_id, secret.decode()


def _sealed(master: bytes, now_ns: int) -> dict[str, str]:
    """Make a key and seal it."""
    key_id = "AKIA" + "".join(secrets.choice(_ID_ALPHABET) for _ in range(16))
    secret = "".join(secrets.choice(_SECRET_ALPHABET) for _ in range(40))
    nonce = secrets.token_bytes(_NONCE_BYTES)
    sealed = nonce + AESGCM(master).encrypt(nonce, secret.encode(), key_id.encode())
    return {
        "access_key_id": key_id,
        "sealed": base64.b64encode(sealed).decode(),
        "created": stamp(now_ns),
    }


def _opened(master: bytes, ring: Any) -> dict[str, bytes]:
    keys = {}
    for entry in ring["keys"]:
        key_id, sealed = entry["access_key_id"], base64.b64decode(entry["sealed"])
        nonce, text = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        keys[key_id] = AESGCM(master).decrypt(nonce, text, key_id.encode())
    return keys
