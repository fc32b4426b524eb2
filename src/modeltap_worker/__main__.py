"""`python -m modeltap_worker SPEC LIFE`: serve one model until told to stop.

SPEC is the path of `spec.json` (see `spec`), LIFE the descriptor of the read end of the life pipe:
at its end the house is gone, and so is this process, in the middle of whatever the model does. It
holds the instance's lock for life, so that any launcher can tell whether it lives. SIGTERM ends it
after the calls that have begun. Standard output and error are the instance's log.
"""

import faulthandler
import fcntl
import gc
import importlib
import os
import resource
import select
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path

from modeltap_worker import spec
from modeltap_worker.server import Algorithm, NotLoaded, Server
from modeltap_worker.spec import Spec

_LOCK_BUSY = 3


def main() -> int:
    path, life = Path(sys.argv[1]), int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core would hold payloads
    _yield_to_who_asks()
    faulthandler.enable()
    threading.Thread(target=_end_with, args=(life,), daemon=True).start()
    if not _take_lock(path.with_name(spec.LOCK)):
        _log("another process serves this instance")
        return _LOCK_BUSY
    server = _load(path)
    gc.collect()
    gc.freeze()  # the model stays for life: no collection need walk it
    server.serve(path.with_name(spec.SOCKET), _told_to_stop())
    _log("stopped")
    return 0


def _yield_to_who_asks() -> None:
    """Take no core from a gateway because a frame came: it may be about to send more.

    Where both share a core, batches double and a call costs a tenth less; where they do not, it
    changes nothing.
    """
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


def _end_with(life: int) -> None:
    # A thread, because a model may keep the loop from running for as long as it likes. `select`,
    # because whoever shares the pipe may have made it non-blocking, as event loops do.
    select.select([life], [], [])
    os._exit(0)


def _take_lock(path: Path) -> bool:
    """Lock for as long as this process lives, and say whose lock it is."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return True


def _load(path: Path) -> Server:
    model = path.with_name(spec.MODEL)
    try:
        told = Spec.decode(path.read_text())
        # By name, because only this model's environment has this algorithm's framework.
        module = importlib.import_module(f"modeltap_worker.{told.algorithm}")
        algorithm: Algorithm = module.load(model, told, os.environ)
    except Exception as error:  # border: whatever a model's load provokes is told by the ping
        load_error = " ".join(str(error).split()) or type(error).__name__
        _log(f"load failed: {load_error}")
        return Server(NotLoaded(load_error), _log, load_error=load_error)
    _log("model loaded")
    return Server(algorithm, _log, batch_rows_max=told.batch_rows_max)


def _told_to_stop() -> int:
    """Give a descriptor that can be read once SIGTERM has come."""
    told, tell = os.pipe()
    signal.signal(signal.SIGTERM, lambda *_: os.write(tell, b"\0"))
    return told


def _log(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
