"""Objects of buckets as local files, for commands that read files."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from modeltap.cli.asked import CannotRun
from modeltap.cli.running import access_key, running
from modeltap.errors import ObjectStoreError
from modeltap.objects.port import nameable
from modeltap.objects.remote import Stores, split_uri

OBJECT_BYTES_MAX = 5 << 30


def copies(uris: Sequence[str], folder: Path, home: Path | None) -> dict[str, Path]:
    """Copy all objects below each URI into a folder of its own. Raise `CannotRun`."""
    settings = running(home)
    stores = Stores(settings, access_key(settings))
    places = {uri: folder / str(at) for at, uri in enumerate(uris)}
    for uri, into in places.items():
        into.mkdir()
        try:
            asyncio.run(_fetch(stores, uri, into))
        except ObjectStoreError as error:
            raise CannotRun(f"{uri} cannot be read: {error}") from None
    return places


async def _fetch(stores: Stores, uri: str, into: Path) -> None:
    bucket, prefix = split_uri(uri)
    store = stores.bucket(bucket)
    found = [each.key async for each in store.list(prefix) if not each.key.endswith("/")]
    if not found:
        raise CannotRun(f"there is no object at {uri}: check bucket and prefix")
    for key in map(nameable, found):
        path = into / key
        path.parent.mkdir(parents=True, exist_ok=True)
        await store.fetch(key, path, OBJECT_BYTES_MAX)
