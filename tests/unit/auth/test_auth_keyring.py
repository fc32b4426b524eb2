"""The key ring: made once, sealed, and closed to others."""

import base64
import json
import os
import re
import stat
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from modeltap.auth.keyring import Keyring
from modeltap.clock import SimulatedClock
from modeltap.errors import KeysRefused


def opened(folder: Path) -> Keyring:
    return Keyring.open(folder, SimulatedClock())


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_makes_one_key_of_the_shape_that_aws_has(tmp_path: Path) -> None:
    key_id, secret = opened(tmp_path / "keys").first()
    assert re.fullmatch(r"AKIA[A-Z2-7]{16}", key_id)
    assert re.fullmatch(r"[A-Za-z0-9]{40}", secret)


def test_keeps_its_key(tmp_path: Path) -> None:
    first = opened(tmp_path / "keys")
    second = opened(tmp_path / "keys")
    key_id, secret = first.first()
    assert second.first() == (key_id, secret)
    assert second.secret(key_id) == secret.encode()
    assert second.secret("AKIAUNKNOWN") is None


def test_another_folder_has_another_key(tmp_path: Path) -> None:
    assert opened(tmp_path / "a").first() != opened(tmp_path / "b").first()


def test_the_secret_is_not_on_disk(tmp_path: Path) -> None:
    _, secret = opened(tmp_path / "keys").first()
    for path in (tmp_path / "keys").iterdir():
        assert secret.encode() not in path.read_bytes()


def test_files_are_the_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    opened(folder)
    assert mode(folder) == 0o700
    assert {path.name: mode(path) for path in folder.iterdir()} == {
        "master.key": 0o400,
        "keyring.json": 0o600,
    }


@pytest.mark.parametrize("name", ["", "master.key", "keyring.json"])
def test_refuses_what_others_may_read(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "keys"
    opened(folder)
    path = folder / name
    path.chmod(mode(path) | 0o040)
    with pytest.raises(KeysRefused, match="chmod go="):
        opened(folder)


def test_refuses_a_ring_without_its_master(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    opened(folder)
    (folder / "master.key").unlink()
    with pytest.raises(KeysRefused, match=r"master\.key is gone"):
        opened(folder)
    assert not (folder / "master.key").exists()


@pytest.mark.parametrize("ring", [b"{", b"[]", b'{"keys": [{}]}', b'{"keys": 1}'])
def test_refuses_a_ring_that_is_no_ring(tmp_path: Path, ring: bytes) -> None:
    folder = tmp_path / "keys"
    opened(folder)
    (folder / "keyring.json").write_bytes(ring)
    with pytest.raises(KeysRefused, match="not sealed"):
        opened(folder)


def test_a_sealed_secret_belongs_to_its_key_id(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    opened(folder)
    ring = json.loads((folder / "keyring.json").read_bytes())
    ring["keys"][0]["access_key_id"] = "AKIAAAAAAAAAAAAAAAAA"
    (folder / "keyring.json").write_text(json.dumps(ring))
    with pytest.raises(KeysRefused, match="not sealed"):
        opened(folder)


def test_a_changed_seal_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    opened(folder)
    ring = json.loads((folder / "keyring.json").read_bytes())
    sealed = bytearray(base64.b64decode(ring["keys"][0]["sealed"]))
    sealed[-1] ^= 1
    ring["keys"][0]["sealed"] = base64.b64encode(sealed).decode()
    (folder / "keyring.json").write_text(json.dumps(ring))
    with pytest.raises(KeysRefused, match="not sealed"):
        opened(folder)


def first_key(folder: Path) -> tuple[str, str]:
    return opened(folder).first()


def test_starters_in_a_race_agree(tmp_path: Path) -> None:
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as starters:
        for round_number in range(5):
            keys = list(starters.map(first_key, [tmp_path / f"keys{round_number}"] * 8))
            assert len(set(keys)) == 1
            names = sorted(os.listdir(tmp_path / f"keys{round_number}"))
            assert names == ["keyring.json", "master.key"]
