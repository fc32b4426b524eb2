"""Find the server of a home, and reach it."""

import fcntl
import http.client
import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from modeltap import settings as settings_module
from modeltap.auth.keyring import Keyring
from modeltap.cli.asked import CannotRun
from modeltap.clock import SystemClock
from modeltap.settings import Settings

ANSWER_SECONDS_MAX = 5.0


def resolve(home: Path | None, **given: object) -> Settings:
    """Resolve the settings of a command. Raise `CannotRun` naming each bad one."""
    try:
        return settings_module.load(home=home, **given)
    except ValueError as error:
        raise CannotRun(_readable(error)) from None


def _readable(error: ValueError) -> str:
    if not isinstance(error, ValidationError):
        return f"settings.toml cannot be read: {error}"
    details = error.errors()
    lines = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in details]
    return f"bad settings: {'; '.join(lines)}"


def running(home: Path | None) -> Settings:
    """Give the settings of the home's running server. Raise `CannotRun` if it does not answer."""
    layout = resolve(home).layout
    hint = f"start it: modeltap serve --home {layout.root}"
    if not _claimed(layout.run / "serve.lock"):
        raise CannotRun(f"no server runs on {layout.root}; {hint}")
    settings = settings_module.read(layout.run / "settings.json")
    if not _answers(settings):
        raise CannotRun(f"the server on {layout.root} does not answer; wait a moment, or {hint}")
    return settings


def _claimed(lock: Path) -> bool:
    """Tell whether a server holds its home's lock."""
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _answers(settings: Settings) -> bool:
    connection = http.client.HTTPConnection(
        settings.reachable_host, settings.port, timeout=ANSWER_SECONDS_MAX
    )
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def capture_now(settings: Settings) -> dict[str, Any]:
    """Ask the running server how capture stands (`/capturez`). Raise `CannotRun` if it cannot say.

    Raises also where another home's server has the port.
    """
    where = f"http://127.0.0.1:{settings.scrape_port}/capturez"
    connection = http.client.HTTPConnection(
        "127.0.0.1", settings.scrape_port, timeout=ANSWER_SECONDS_MAX
    )
    try:
        connection.request("GET", "/capturez")
        document: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise CannotRun(f"{where} does not answer ({error}); try again") from None
    finally:
        connection.close()
    if document.get("home") != str(settings.home):
        raise CannotRun(f"{where} is another server's; this one's metrics_port must be its own")
    if document["state"] == "unknown":
        raise CannotRun(f"how capture stands is not known ({document['reason']}); try again")
    return document


def access_key(settings: Settings) -> tuple[str, str]:
    """Give the home's access key id and secret."""
    return Keyring.open(settings.layout.keys, SystemClock()).first()
