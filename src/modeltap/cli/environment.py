"""`modeltap env` and `modeltap run`: the environment in which AWS clients reach this server.

The SageMaker SDK builds its STS client with an explicit AWS address that no endpoint variable
redirects: hence the proxy and its CA (`docs/architecture.md`, the detour).
"""

import os
import shlex
from typing import Annotated

from cyclopts import Parameter

from modeltap.auth.authority import BUNDLE
from modeltap.cli.asked import CannotRun, HomeOption
from modeltap.cli.running import access_key, running
from modeltap.settings import Settings

CONFLICTING = (
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_ENDPOINT_URL_SAGEMAKER",
    "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_IAM",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
)
"""Each would be used beside or instead of our keys and addresses."""

HttpsOption = Annotated[bool, Parameter(name="--https", negative="", help="reach it over TLS")]


def variables(settings: Settings, *, https: bool) -> dict[str, str]:
    """Give the variables that lead every AWS client of a process here."""
    scheme = "https" if https else "http"
    host = settings.reachable_host
    name = f"[{host}]" if ":" in host else host
    key_id, secret = access_key(settings)
    direct = ",".join(dict.fromkeys(["127.0.0.1", "localhost", "::1", host]))
    found = {
        "AWS_ENDPOINT_URL": f"{scheme}://{name}:{settings.port}",
        "AWS_ENDPOINT_URL_S3": f"{scheme}://{name}:{settings.bulk_port}",
        "AWS_DEFAULT_REGION": settings.region,
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
        "HTTPS_PROXY": f"http://{name}:{settings.bulk_port}",
        "NO_PROXY": direct,
        "AWS_CA_BUNDLE": str(settings.layout.keys / BUNDLE),
    }
    return found | _overruling(found)


def _overruling(found: dict[str, str]) -> dict[str, str]:
    """Repeat what is already set in a spelling that clients prefer to ours."""
    spelled = {name.lower(): found[name] for name in ("HTTPS_PROXY", "NO_PROXY")}
    spelled["AWS_REGION"] = found["AWS_DEFAULT_REGION"]
    return {name: value for name, value in spelled.items() if name in os.environ}


def env(*, home: HomeOption = None, https: HttpsOption = False) -> None:
    """Print the shell lines that lead AWS clients here: eval "$(modeltap env)"."""
    settings = running(home)
    for name in CONFLICTING:
        if name in os.environ:
            print(f"unset {name}")
    for name, value in variables(settings, https=https).items():
        print(f"export {name}={shlex.quote(value)}")


def run(
    *command: Annotated[str, Parameter(allow_leading_hyphen=True)],
    home: HomeOption = None,
    https: HttpsOption = False,
) -> None:
    """Run one command whose AWS clients reach this server: modeltap run -- python job.py."""
    if not command:
        raise CannotRun("name the command: modeltap run -- COMMAND")
    settings = running(home)
    inherited = {name: value for name, value in os.environ.items() if name not in CONFLICTING}
    try:
        os.execvpe(command[0], command, inherited | variables(settings, https=https))  # noqa: S606
    except OSError as error:
        raise CannotRun(f"cannot run {command[0]}: {error.strerror}") from None
