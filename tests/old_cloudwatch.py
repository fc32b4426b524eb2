"""CloudWatch as older clients ask it."""

import http.client
from typing import Any
from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest, HeadersDict
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.parsers import create_parser
from botocore.serialize import create_serializer

from modeltap.wire import catalog


class OldClient:
    """What boto3 was up to 1.35: the query protocol, by botocore's own serializer and parser."""

    def __init__(self, port: int, key_id: str, secret: str, region: str = "us-east-1") -> None:
        self._port = port
        self._signer = SigV4Auth(Credentials(key_id, secret), "monitoring", region)
        self._model = catalog.service("cloudwatch", "query")

    def __getattr__(self, snake: str) -> Any:
        name = "".join(part.capitalize() for part in snake.split("_"))
        return lambda **params: self._call(name, params)

    def _call(self, name: str, params: dict[str, Any]) -> Any:
        operation = self._model.operation_model(name)
        request = create_serializer("query").serialize_to_request(params, operation)
        body = "&".join(
            f"{key}={quote(str(value), safe='')}" for key, value in request["body"].items()
        )
        response = self.post(body.encode(), {"Content-Type": "application/x-www-form-urlencoded"})
        parsed = create_parser("query").parse(response, operation.output_shape)
        if response["status_code"] >= 400:
            raise ClientError(parsed, name)
        return parsed

    def post(self, body: bytes, headers: dict[str, str]) -> dict[str, Any]:
        request = AWSRequest("POST", f"http://127.0.0.1:{self._port}/", headers, body)
        self._signer.add_auth(request)
        connection = http.client.HTTPConnection("127.0.0.1", self._port)
        connection.request("POST", "/", body, dict(request.headers.items()))
        answer = connection.getresponse()
        found = {
            "status_code": answer.status,
            "headers": HeadersDict(dict(answer.getheaders())),
            "body": answer.read(),
            "context": {},
        }
        connection.close()
        return found
