"""The port over obstore: any S3-compatible store.

Where a URI leads is decided by settings alone, never by the URI's host (threat S14): the bucket's
name is looked up among the external buckets, and every other bucket is one of our own. S3's own
https forms are read as `s3://{bucket}/{key}`; no other https is.

No retries here: the caller owns the pace. Limits: connect 3 s, a request 30 s; `fetch` asks for
8 MiB at a time, of one version of the object. obstore cannot name some keys that S3 allows
(`a//b`, `a/../b`, a slash at either end); those are refused here, before it would quietly name
another object.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from configparser import ConfigParser
from configparser import Error as ConfigParserError
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import S3Store

from modeltap.errors import (
    HouseError,
    ObjectExists,
    ObjectNotFound,
    ObjectTooLarge,
    StoreRefused,
    StoreUnavailable,
)
from modeltap.objects.port import ObjectInfo, ObjectStore, Stored, nameable, refusal
from modeltap.settings import ExternalBucket, Settings

if TYPE_CHECKING:
    from obstore.store import S3Credential  # a name of obstore's stubs alone

FETCH_BYTES = 8 * 1024 * 1024  # of one request, so that a large object has many deadlines
SEND_BYTES = 8 * 1024 * 1024  # of one part; what is smaller goes as one object
SENDS_AT_ONCE = 2
CONNECT_SECONDS_MAX = 3
REQUEST_SECONDS_MAX = 30

BUCKET = r"(?P<bucket>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])"
HOST = r"s3(?:[.-][a-z0-9-]+)?\.amazonaws\.com"
OBJECT_URI = re.compile(rf"s3://{BUCKET}(?:/(?P<key>.*))?", re.DOTALL)
HTTPS_FORMS = (
    re.compile(rf"https://{BUCKET}\.{HOST}/(?P<key>[^?#\s]*)"),
    re.compile(rf"https://{HOST}/{BUCKET}/(?P<key>[^?#\s]*)"),
)


class Bucket:
    """One bucket behind obstore, which takes the KMS key of a write as a store's own setting."""

    def __init__(self, opened: Callable[..., S3Store]) -> None:
        """Take what opens the bucket with some settings more."""
        self._opened = opened
        self._store = opened()
        self._keyed: dict[str, S3Store] = {}

    async def put(
        self,
        key: str,
        data: bytes,
        *,
        metadata: Mapping[str, str] | None = None,
        create_only: bool = False,
        kms_key_id: str | None = None,
    ) -> Stored:
        with _translated(nameable(key), writing=True):
            result = await obstore.put_async(
                self._encrypting(kms_key_id),
                key,
                data,
                attributes=dict(metadata or {}),
                mode="create" if create_only else "overwrite",
                use_multipart=False,
            )
        return Stored(_unquoted(result["e_tag"]))

    async def send(self, key: str, path: Path, *, kms_key_id: str | None = None) -> Stored:
        with _translated(nameable(key), writing=True):
            result = await obstore.put_async(
                self._encrypting(kms_key_id),
                key,
                path,
                chunk_size=SEND_BYTES,
                max_concurrency=SENDS_AT_ONCE,
            )
        return Stored(_unquoted(result["e_tag"]))

    async def get(self, key: str, span: tuple[int, int] | None = None) -> bytes:
        with _translated(nameable(key)):
            result = await obstore.get_async(
                self._store, key, options={"range": span} if span else None
            )
            return bytes(await result.bytes_async())

    async def head(self, key: str) -> ObjectInfo:
        with _translated(nameable(key)):
            result = await obstore.get_async(self._store, key, options={"head": True})
        metadata = {
            name.lower(): value
            for name, value in result.attributes.items()
            if name != "Content-Type"
        }
        return _info(result.meta, metadata)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        folder = prefix.rpartition("/")[0]  # obstore lists by whole path segments
        pages = obstore.list(self._store, folder or None)
        while True:
            with _translated(folder):
                page = await anext(pages, None)
            if page is None:
                return
            for meta in page:
                if meta["path"].startswith(prefix):
                    yield _info(meta, {})

    async def delete(self, key: str) -> None:
        with _translated(nameable(key)):
            try:
                await obstore.delete_async(self._store, key)
            except FileNotFoundError:
                return  # removing what is not there is no error, in S3's own words

    async def fetch(self, key: str, path: Path, bytes_max: int) -> int:
        with _translated(nameable(key)):
            found = await obstore.get_async(self._store, key, options={"head": True})
        size, etag = int(found.meta["size"]), found.meta["e_tag"]
        if size > bytes_max:
            raise ObjectTooLarge(f"{key} is larger than {bytes_max} bytes")
        file = await asyncio.to_thread(_new_file, path)
        try:
            for start in range(0, size, FETCH_BYTES):
                piece = await self._piece(key, (start, min(start + FETCH_BYTES, size)), etag)
                await asyncio.to_thread(file.write, piece)
        except BaseException:
            path.unlink()
            raise
        finally:
            file.close()
        return size

    def _encrypting(self, kms_key_id: str | None) -> S3Store:
        """Give the bucket as one that asks for encryption under a key."""
        if kms_key_id is None:
            return self._store
        if kms_key_id not in self._keyed:
            self._keyed[kms_key_id] = self._opened(
                server_side_encryption="aws:kms", sse_kms_key_id=kms_key_id
            )
        return self._keyed[kms_key_id]

    async def _piece(self, key: str, span: tuple[int, int], etag: str | None) -> bytes:
        """Read a span of one version of an object."""
        with _translated(key):
            result = await obstore.get_async(
                self._store, key, options={"range": span, "if_match": etag}
            )
            return bytes(await result.bytes_async())


class Stores:
    """Every bucket that the settings name: our own, and those on real stores."""

    def __init__(self, settings: Settings, credentials: tuple[str, str]) -> None:
        """Take the access key id and the secret with which our own store is called."""
        self._own = ExternalBucket(
            endpoint=f"http://{_reachable(settings.host)}:{settings.bulk_port}",
            region=settings.region,
            access_key_id=credentials[0],
            secret_access_key=credentials[1],
            allow_http=True,
        )
        self._external = settings.external_buckets
        self._open: dict[str, Bucket] = {}

    def at(self, uri: str) -> tuple[ObjectStore, str]:
        """Give the bucket that a URI names, and the key (or prefix) in it.

        Raise `StoreRefused` for a URI that is none of S3's.
        """
        bucket, key = split_uri(uri)
        return self.bucket(bucket), key

    def renew(self, uri: str) -> None:
        """Open the bucket of a URI anew when it is next asked for, with credentials read anew."""
        self._open.pop(split_uri(uri)[0], None)

    def bucket(self, name: str) -> ObjectStore:
        if name not in self._open:
            self._open[name] = s3_bucket(name, self._external.get(name, self._own))
        return self._open[name]


def split_uri(uri: str) -> tuple[str, str]:
    """Read `s3://bucket/key`, or S3's own https forms of it, as (bucket, key).

    Raise `StoreRefused` for anything else.
    """
    if found := OBJECT_URI.fullmatch(uri):
        return found["bucket"], found["key"] or ""
    for form in HTTPS_FORMS:
        if found := form.fullmatch(uri):
            return found["bucket"], _decoded(found["key"])
    raise StoreRefused("not the URI of an S3 object; one is s3://bucket/key")


def s3_bucket(
    name: str, at: ExternalBucket, *, request_seconds_max: int = REQUEST_SECONDS_MAX
) -> Bucket:
    """Open a bucket on an S3-compatible store; nothing is sent yet.

    Raise `StoreRefused` where its file of credentials holds none.

    obstore reads `AWS_*` of the environment for what it is not given, and `AWS_ENDPOINT_URL_S3`
    even before an `endpoint` that it is: neither the address nor a session token in the shell of
    whoever started us may mix with the settings.
    """

    credentials = _credentials(at)
    return Bucket(
        partial(
            S3Store,
            name,
            aws_endpoint_url_s3=at.endpoint,
            region=at.region,
            credential_provider=lambda: credentials,
            virtual_hosted_style_request=False,
            s3_express=False,
            skip_signature=False,
            unsigned_payload=False,
            client_options={
                "allow_http": at.allow_http,
                "connect_timeout": f"{CONNECT_SECONDS_MAX} s",
                "timeout": f"{request_seconds_max} s",
            },
            retry_config={"max_retries": 0},
        )
    )


def _credentials(at: ExternalBucket) -> "S3Credential":
    """Give the credentials of a bucket: those of its file, where it names one.

    Raise `StoreRefused` where the file cannot be read or holds none.
    """
    if not at.credentials_file:
        key_id, secret, token = at.access_key_id, at.secret_access_key, None
    else:
        key_id, secret, token = _filed(Path(at.credentials_file).expanduser())
    return {
        "access_key_id": key_id,
        "secret_access_key": secret,
        "token": token,
        "expires_at": None,
    }


def _filed(path: Path) -> tuple[str, str, str | None]:
    """Read AWS's shared credentials file: section `default`."""
    parser = ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text())
        found = parser["default"]
        return (
            found["aws_access_key_id"],
            found["aws_secret_access_key"],
            found.get("aws_session_token"),
        )
    except (OSError, ValueError, KeyError, ConfigParserError):
        raise StoreRefused(f"{path} holds no credentials of a profile default") from None


def _decoded(key: str) -> str:
    try:
        return unquote(key, errors="strict")
    except UnicodeDecodeError:
        raise StoreRefused("the key of the URI is not UTF-8") from None


def _reachable(host: str) -> str:
    """Give where a listener on `host` is reached from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"[{host}]" if ":" in host else host


# ---------------------------------------------------------------- obstore's values and errors


@contextmanager
def _translated(key: str, *, writing: bool = False) -> Iterator[None]:
    """Turn obstore's errors into the port's. Their own text may quote a signature: it is cut."""
    try:
        yield
    except FileNotFoundError as error:
        if writing or _code(error) == "NoSuchBucket":
            raise refusal(_status(error), _code(error)) from None
        raise ObjectNotFound(f"there is no object {key}") from None
    except (BaseError, ValueError) as error:
        raise _meaning(error, key) from None


def _meaning(error: Exception, key: str) -> HouseError:
    status, code = _status(error), _code(error)
    if isinstance(error, AlreadyExistsError) and status != 409:
        return ObjectExists(f"there is an object {key} already")
    if isinstance(error, PreconditionError):
        return StoreUnavailable(f"the object {key} was replaced while it was read")
    if status:
        return refusal(status, code)
    text = str(error)
    if "redirect" in text:
        return refusal(301, "PermanentRedirect")
    return (StoreRefused if "Invalid range" in text else StoreUnavailable)(_told(text))


def _status(error: Exception) -> int:
    found = re.search(r"status code: (\d{3})", str(error))
    return int(found[1]) if found else 0


def _code(error: Exception) -> str:
    found = re.search(r"<Code>([\w.]{1,64})</Code>", str(error))
    return found[1] if found else ""


def _told(text: str) -> str:
    return text.partition("\n")[0].rpartition(" - ")[2]


def _unquoted(etag: str | None) -> str:
    return (etag or "").strip('"')


def _info(meta: Any, metadata: Mapping[str, str]) -> ObjectInfo:
    modified_ns = int(meta["last_modified"].timestamp() * 1_000_000) * 1_000
    return ObjectInfo(meta["path"], meta["size"], _unquoted(meta["e_tag"]), modified_ns, metadata)


def _new_file(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
