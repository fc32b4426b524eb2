"""A private view of the file system, in which a job's own folder is `/opt/ml`.

A container's paths are written into scripts, arguments and documents, so a job that is no container
needs them to be true: a mount namespace of its own, in which its folder is bound to `/opt/ml`. Root
makes one as it is; everybody else makes a user namespace around it, in which he stays who he is.
What is mounted in it is seen by this process and what it starts, and is gone with them.

A host without `/opt/ml` has no place to bind to, and none is made in its own file system: in the
namespace an empty `/opt` is laid over the host's, and gets its entries back one by one.

`python -m modeltap_worker.namespace ML SCRATCH` tries it: it leaves the file `probe` in ML.
"""

import ctypes
import os
import sys
from pathlib import Path

ROOT = Path("/opt/ml")
ROOT_VARIABLE = "MODELTAP_ML_ROOT"
"""Tells a job's program where that really is."""
PROBE = "probe"

_CLONE_NEWNS = 0x0002_0000  # sched.h
_CLONE_NEWUSER = 0x1000_0000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x4_0000  # mount.h
_MNT_DETACH = 2
_LIBC = ctypes.CDLL(None, use_errno=True)


def enter(ml: Path, scratch: Path) -> None:
    """Have this process see the folder `ml` as `/opt/ml`; `scratch` is an empty folder.

    For a process of one thread. Raise `OSError` where the kernel does not allow it, or there is no
    `/opt`: the process is then in a view that is private, and otherwise as the host's.
    """
    _unshare()
    _mount("none", Path("/"), _MS_REC | _MS_PRIVATE)  # nothing that is mounted here goes out
    if not ROOT.is_dir():
        _make_room(scratch)
    _mount(str(ml), ROOT, _MS_BIND | _MS_REC)


def _unshare() -> None:
    if _LIBC.unshare(_CLONE_NEWNS) == 0:
        return
    user, group = os.geteuid(), os.getegid()
    _checked(_LIBC.unshare(_CLONE_NEWUSER | _CLONE_NEWNS), "unshare")
    Path("/proc/self/setgroups").write_text("deny")  # user_namespaces(7): before the group's map
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _make_room(scratch: Path) -> None:
    """Lay an `/opt` over the host's that has the same entries, and `ml` beside them."""
    opt = ROOT.parent
    _mount(str(opt), scratch, _MS_BIND | _MS_REC)
    _mount("tmpfs", opt, 0, kind="tmpfs", options="mode=755,size=1m")
    for entry in os.scandir(scratch):
        place = opt / entry.name
        if entry.is_symlink():
            place.symlink_to(Path(entry.path).readlink())
            continue
        place.mkdir() if entry.is_dir() else place.touch()
        _mount(entry.path, place, _MS_BIND | _MS_REC)
    _checked(_LIBC.umount2(os.fsencode(scratch), _MNT_DETACH), str(scratch))
    ROOT.mkdir()


def _mount(source: str, target: Path, flags: int, *, kind: str = "", options: str = "") -> None:
    done = _LIBC.mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode() or None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    _checked(done, str(target))


def _checked(done: int, where: str) -> None:
    if done != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), where)


if __name__ == "__main__":
    enter(Path(sys.argv[1]), Path(sys.argv[2]))
    (ROOT / PROBE).touch()
