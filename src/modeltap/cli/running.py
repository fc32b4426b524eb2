"""Find the server of a home, and reach it."""

import fcntl
import http.client
import json
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from pydantic import ValidationError

from modeltap import settings as settings_module
from modeltap.auth.keyring import Keyring
from modeltap.clock import SystemClock
from modeltap.settings import Settings

HomeOption = Annotated[
    Path | None, Parameter(name="--home", help="where all state lives; default ~/.modeltap")
]
ANSWER_SECONDS_MAX = 5.0


class CannotRun(Exception):
    """A command cannot do its work; the text says why and what to do."""


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
    """Ask the running server how capture stands (`/capturez`); nothing where none runs."""
    connection = http.client.HTTPConnection(
        "127.0.0.1", settings.scrape_port, timeout=ANSWER_SECONDS_MAX
    )
    try:
        connection.request("GET", "/capturez")
        document: dict[str, Any] = json.loads(connection.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return {}
    finally:
        connection.close()
    return document if document.get("home") == str(settings.home) else {}


def access_key(settings: Settings) -> tuple[str, str]:
    """Give the home's access key id and secret."""
    return Keyring.open(settings.layout.keys, SystemClock()).first()
