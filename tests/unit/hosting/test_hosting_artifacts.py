"""A corpus of archives that try what archives try (threats S11, S12)."""

import gzip
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeltap.errors import LaunchFailed
from modeltap.hosting.artifacts import Limits, unpack


def member(name: str, data: bytes = b"", **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(name)
    header.size = len(data)
    for key, value in fields.items():
        setattr(header, key, value)
    return header, data


def archive_of(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=form) as tar:
        for header, data in members:
            tar.addfile(header, io.BytesIO(data))
    return stream.getvalue()


@pytest.fixture
def into(tmp_path: Path) -> Path:
    folder = tmp_path / "x" / "model"
    folder.mkdir(parents=True)
    return folder


def unpacked(data: bytes, into: Path, limits: Limits | None = None) -> dict[str, bytes]:
    archive = into.parent / "model.tar.gz"
    archive.write_bytes(data)
    unpack(archive, into, limits=limits)
    return {
        str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()
    }


FOLDER: dict[str, Any] = {"type": tarfile.DIRTYPE, "mode": 0o777}
FORMATS = [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]


@pytest.mark.parametrize("form", FORMATS)
def test_plain_archives_are_unpacked(into: Path, form: int) -> None:
    long = "/".join(["n" * 60, "m" * 60, "file"])
    data = os.urandom(70_000)
    packed = archive_of(
        member("./", **FOLDER),
        member("./xgboost-model", data, mode=0o4777),
        member("code/", **FOLDER),
        member("code/inference.py", b"pass"),
        member(long, b"long"),
        member("empty"),
        form=form,
    )
    assert unpacked(packed, into) == {
        "xgboost-model": data,
        "code/inference.py": b"pass",
        long: b"long",
        "empty": b"",
    }
    assert stat.S_IMODE((into / "xgboost-model").stat().st_mode) == 0o600
    assert stat.S_IMODE((into / "code").stat().st_mode) == 0o700


LINK: dict[str, Any] = {"type": tarfile.SYMTYPE}


@pytest.mark.parametrize(
    ("members", "says"),
    [
        ([member("../evil", b"x")], "points out"),
        ([member("a/../../evil", b"x")], "points out"),
        ([member("../model/evil", b"x")], "points out"),
        ([member("/evil", b"x")], "points out"),
        ([member("a", linkname="/", **LINK), member("a/evil", b"x")], "a symbolic link"),
        ([member("a", linkname="b", type=tarfile.LNKTYPE)], "a hard link"),
        ([member("a", type=tarfile.FIFOTYPE)], "a named pipe"),
        ([member("a", type=tarfile.CHRTYPE)], "a device"),
        ([member("a", type=tarfile.BLKTYPE)], "a device"),
        ([member("a", type=tarfile.GNUTYPE_SPARSE)], "a sparse file"),
        ([member("a", type=b"Z")], "of an unknown kind"),
        ([member("a", b"1"), member("a", b"2")], "names 'a' twice"),
        ([member("a", b"1"), member("./a", b"2")], "names 'a' twice"),
        ([member("a", b"1"), member("a/b", b"2")], "could not be unpacked"),
        ([member("a/b", b"1"), member("a", b"2")], "names 'a' twice"),
        ([member("/".join("abcdefghijklmnopq"), b"x")], "too deep"),
        ([member("n" * 256, b"x")], "too long"),
        ([member("a\nb", b"x")], "unprintable"),
        ([member("a\udcff", b"x")], "UTF-8|unprintable"),
        ([member(".", b"x")], "has no name"),
        ([member("a", b"x", pax_headers={"GNU.sparse.map": "0,1"})], "sparse"),
        ([member("a", b"x", pax_headers={"comment": "c" * 70_000})], "too long"),
    ],
)
def test_what_breaks_a_rule_is_refused_and_nothing_leaves_the_folder(
    into: Path, members: list[tuple[tarfile.TarInfo, bytes]], says: str
) -> None:
    with pytest.raises(LaunchFailed, match=says):
        unpacked(archive_of(*members), into)
    assert sorted(path.name for path in into.parent.iterdir()) == ["model", "model.tar.gz"]
    assert not list(into.parent.parent.rglob("evil"))
    assert not any(path.is_symlink() for path in into.rglob("*"))


def test_a_negative_size_is_refused(into: Path) -> None:
    header = bytearray(tarfile.TarInfo("a").tobuf())
    header[124:136] = b"\xff" * 12  # base 256, all ones: -1
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    with pytest.raises(LaunchFailed, match="negative size"):
        unpacked(gzip.compress(bytes(header) + bytes(1024)), into)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\0", "no whole gzipped tar"),
        (b"PK\x03\x04 a zip", "no whole gzipped tar"),
        (gzip.compress(b"not a tar" * 100), "no whole gzipped tar"),
        (archive_of(member("a", os.urandom(9000)))[:-3000], "no whole gzipped tar"),
        (archive_of(member("a", b"x"))[:-8] + bytes(8), "no whole gzipped tar"),
        (gzip.compress(tarfile.TarInfo("a").tobuf() + b"x"), "no whole gzipped tar"),
    ],
)
def test_what_is_no_whole_gzipped_tar_is_told(into: Path, data: bytes, says: str) -> None:
    with pytest.raises(LaunchFailed, match=says) as failed:
        unpacked(data, into)
    assert "tar -czf model.tar.gz" in str(failed.value)


def test_bombs_stop_at_their_bound(into: Path) -> None:
    packed = archive_of(member("zeros", bytes(4_000_000)))
    assert len(packed) < 20_000
    with pytest.raises(LaunchFailed, match="200 times its packed size"):
        unpacked(packed, into, Limits(gain_free_bytes=1_000_000))
    assert (into / "zeros").stat().st_size <= 3_000_000
    (into / "zeros").unlink()
    assert len(unpacked(packed, into)["zeros"]) == 4_000_000


def test_bytes_and_members_are_bounded(into: Path) -> None:
    with pytest.raises(LaunchFailed, match="more than 5000 bytes"):
        unpacked(archive_of(member("a", os.urandom(5000))), into, Limits(bytes_max=5000))
    (into / "a").unlink(missing_ok=True)
    many = archive_of(*(member(f"{number}") for number in range(11)))
    with pytest.raises(LaunchFailed, match="more than 10 members"):
        unpacked(many, into, Limits(files_max=10))


@given(
    st.dictionaries(
        st.text("abc-_.é ", min_size=1, max_size=300).filter(lambda name: name not in (".", "..")),
        st.binary(max_size=2000),
        max_size=4,
    ),
    st.sampled_from(FORMATS[1:]),
)
def test_any_flat_archive_comes_out_whole(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], form: int
) -> None:
    into = tmp_path_factory.mktemp("flat") / "model"
    into.mkdir()
    members = [member(name, data) for name, data in files.items()]
    if any(len(name.encode()) > 255 for name in files):
        with pytest.raises(LaunchFailed, match="too long"):
            unpacked(archive_of(*members, form=form), into)
    else:
        assert unpacked(archive_of(*members, form=form), into) == files
