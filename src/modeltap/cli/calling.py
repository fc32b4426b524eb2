"""Calls of the running server's control APIs, signed as every AWS client signs them.

One request a call, JSON 1.1 to port N: so a command has the rights of the home's access key and no
others. Times in answers are seconds since 1970, as AWS writes them.
"""

import http.client
import json
from collections.abc import Iterator

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from modeltap.cli.asked import CannotRun
from modeltap.cli.running import access_key
from modeltap.nouns import Document
from modeltap.settings import Settings

TARGETS = {"sagemaker": "SageMaker", "modeltap": "Modeltap"}
"""The services that a command asks, by signing name, and what their operations are called by."""

ANSWER_SECONDS_MAX = 60.0
PAGE = 100


class CallRefused(CannotRun):
    """The server said no; `code` is AWS's, the text its message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class NoAnswer(CannotRun):
    """The server did not answer, or not for now; the call may or may not have been done."""


class Api:
    """The control APIs of one server."""

    def __init__(self, host: str, port: int, region: str, key: tuple[str, str]) -> None:
        self._host, self._port, self._region = host, port, region
        self._credentials = Credentials(*key)

    def call(self, operation: str, service: str = "sagemaker", /, **members: object) -> Document:
        """Call an operation. Raise `CallRefused`, `NoAnswer`."""
        body = json.dumps(members).encode()
        target = f"{TARGETS[service]}.{operation}"
        status, data = self._asked(self._signed(service, target, body), body)
        try:
            answer: Document = json.loads(data)
        except ValueError:
            answer = {}
        if status == http.client.OK:
            return answer
        message = answer.get("message") or answer.get("Message") or f"it answered {status}"
        if status >= http.client.INTERNAL_SERVER_ERROR:
            raise NoAnswer(f"the server cannot answer now ({message}); try again")
        raise CallRefused(str(answer.get("__type", "")).rpartition("#")[2], message)

    def pages(self, operation: str, listed: str, **members: object) -> Iterator[Document]:
        """Give what an operation lists, page after page."""
        members = {"MaxResults": PAGE, **members}
        while True:
            answer = self.call(operation, **members)
            yield from answer[listed]
            if "NextToken" not in answer:
                return
            members["NextToken"] = answer["NextToken"]

    def _signed(self, service: str, target: str, body: bytes) -> dict[str, str]:
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
        request = AWSRequest("POST", f"http://{self._netloc}/", headers, body)
        SigV4Auth(self._credentials, service, self._region).add_auth(request)
        return {**dict(request.headers.items()), "host": self._netloc}

    @property
    def _netloc(self) -> str:
        name = f"[{self._host}]" if ":" in self._host else self._host
        return f"{name}:{self._port}"

    def _asked(self, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=ANSWER_SECONDS_MAX)
        try:
            connection.request("POST", "/", body, headers)
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(f"the server at {self._netloc} does not answer ({error})") from None
        finally:
            connection.close()


def api_of(settings: Settings) -> Api:
    """Reach the control APIs of a home's running server, by its first key."""
    host, port = settings.reachable_host, settings.port
    return Api(host, port, settings.region, access_key(settings))
