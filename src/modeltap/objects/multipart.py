"""Multipart uploads: parts gather under a content that no key points to yet.

The upload's id is the content's id. Completing writes one object row that points to it, drops
the parts that were not named, and copies nothing. Because the id lives on in the object, a
completion that is sent again (its first answer was lost) is recognised and answered alike, as
S3 does.

An upload that is not completed ends `UPLOAD_SECONDS_MAX` after its start (`expire`): its parts
would fill the disk for ever, and no listing of objects shows them.

Limits (S3's): parts 1 … 10,000, each but the last of at least 5 MiB; the whole within
`object_bytes_max`.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from modeltap.errors import (
    EntityTooLarge,
    EntityTooSmall,
    InvalidArgument,
    InvalidPart,
    InvalidPartOrder,
    MalformedXML,
    NoSuchUpload,
)
from modeltap.objects.blobs import Blob
from modeltap.objects.buckets import (
    ALWAYS,
    Buckets,
    Condition,
    check_key,
    place,
    require_bucket,
)
from modeltap.objects.index import Attributes, Object, Piece, Rows, Upload

UPLOAD_SECONDS_MAX = 7 * 24 * 3600.0  # the usual rule of S3's AbortIncompleteMultipartUpload
PART_NUMBER_MAX = 10_000
PART_BYTES_MIN = 5 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class NamedPart:
    """A part as a completion names it; what it says of the part must be true."""

    number: int
    etag: str  # without quotes
    checksums: Mapping[str, str] = field(default_factory=dict)  # ChecksumCRC32 … → base64


class Uploads:
    """The uploads under way in the embedded buckets. Methods block, like those of `Buckets`."""

    def __init__(self, buckets: Buckets) -> None:
        self._buckets = buckets

    def start(self, bucket: str, key: str, attributes: Attributes) -> str:
        """Begin an upload and give its id."""
        check_key(key)
        clock = self._buckets.clock
        upload = Upload(clock.uuid4(), bucket, key, clock.now_ns(), attributes)
        with self._buckets.index.write() as rows:
            require_bucket(rows, bucket)
            rows.add_upload(upload)
        return upload.content

    def get(self, bucket: str, key: str, upload_id: str) -> Upload:
        """Look an upload up. Raise `NoSuchBucket`, or `NoSuchUpload` if it is not of this key."""
        with self._buckets.index.read() as rows:
            return _require(rows, bucket, key, upload_id)

    def put_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        blob: Blob,
        checksums: Attributes,
    ) -> None:
        """Add received bytes as a part, replacing one of that number; dropped on any error."""
        piece = Piece(number, blob.id, blob.size, blob.md5, self._buckets.clock.now_ns(), checksums)
        try:
            if not 1 <= number <= PART_NUMBER_MAX:
                raise InvalidArgument(
                    f"Part number must be an integer between 1 and {PART_NUMBER_MAX}, inclusive"
                )
            with self._buckets.index.write() as rows:
                _require(rows, bucket, key, upload_id)
                replaced = rows.drop_part(upload_id, number)
                rows.add_piece(upload_id, piece)
        except BaseException:
            self._buckets.blobs.remove([blob.id])
            raise
        self._buckets.discard({upload_id: replaced})

    def parts(self, bucket: str, key: str, upload_id: str) -> list[Piece]:
        """Give the parts so far, by number."""
        with self._buckets.index.read() as rows:
            _require(rows, bucket, key, upload_id)
            return rows.pieces(upload_id)

    def complete(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        named: Sequence[NamedPart],
        condition: Condition = ALWAYS,
    ) -> Object:
        """Make the named parts, in order, the object of the key.

        Raise `InvalidPart`, `InvalidPartOrder`, `EntityTooSmall`, `EntityTooLarge`, and what
        the condition raises; the upload then goes on.
        """
        with self._buckets.index.write() as rows:
            done = rows.object(bucket, key)
            if done is not None and done.content == upload_id:
                return done
            upload = _require(rows, bucket, key, upload_id)
            held = {piece.number: piece for piece in rows.pieces(upload_id)}
            chosen = _choose(held, named)
            if sum(piece.size for piece in chosen) > self._buckets.object_bytes_max:
                raise EntityTooLarge("Your proposed upload exceeds the maximum allowed size")
            row = self._object(upload, chosen)
            replaced = place(rows, bucket, row, condition)
            kept = {piece.blob for piece in chosen}
            unnamed = [piece.blob for piece in held.values() if piece.blob not in kept]
            for blob in unnamed:
                rows.drop_piece(blob)
            rows.drop_upload(upload_id)
        self._buckets.discard({**replaced, upload_id: unnamed})
        return row

    def abort(self, bucket: str, key: str, upload_id: str) -> None:
        """Forget an upload and its parts. Raise as `get` does."""
        with self._buckets.index.write() as rows:
            _require(rows, bucket, key, upload_id)
            rows.drop_upload(upload_id)
            gone = rows.drop_pieces(upload_id)
        self._buckets.discard({upload_id: gone})

    def expire(self) -> int:
        """Abort every upload that is too old; give how many there were."""
        started_before_ns = self._buckets.clock.now_ns() - int(UPLOAD_SECONDS_MAX * 1e9)
        with self._buckets.index.write() as rows:
            expired = rows.drop_uploads(started_before_ns)
            gone = {content: rows.drop_pieces(content) for content in expired}
        self._buckets.discard(gone)
        return len(expired)

    def under_way(self, bucket: str, after: tuple[str, str], limit: int) -> list[Upload]:
        """Give the uploads of a bucket after a (key, upload id), in that order."""
        with self._buckets.index.read() as rows:
            require_bucket(rows, bucket)
            return rows.uploads(bucket, (after[0].encode(), after[1]), limit)

    def _object(self, upload: Upload, chosen: Sequence[Piece]) -> Object:
        digests = b"".join(bytes.fromhex(piece.etag) for piece in chosen)
        md5 = hashlib.md5(digests, usedforsecurity=False).hexdigest()
        return Object(
            key=upload.key,
            content=upload.content,
            size=sum(piece.size for piece in chosen),
            etag=f"{md5}-{len(chosen)}",
            modified_ns=self._buckets.clock.now_ns(),
            parts=len(chosen),
            attributes=upload.attributes,
        )


def _require(rows: Rows, bucket: str, key: str, upload_id: str) -> Upload:
    upload = rows.upload(upload_id)
    if upload is None or (upload.bucket, upload.key) != (bucket, key):
        require_bucket(rows, bucket)
        raise NoSuchUpload(
            "The specified upload does not exist. The upload ID may be invalid, "
            "or the upload may have been aborted or completed."
        )
    return upload


def _choose(held: Mapping[int, Piece], named: Sequence[NamedPart]) -> list[Piece]:
    if not named:
        raise MalformedXML("You must specify at least one part")
    numbers = [part.number for part in named]
    if any(after <= before for before, after in pairwise(numbers)):
        raise InvalidPartOrder("The list of parts was not in ascending order.")
    chosen = [_match(held.get(part.number), part) for part in named]
    if any(piece.size < PART_BYTES_MIN for piece in chosen[:-1]):
        raise EntityTooSmall("Your proposed upload is smaller than the minimum allowed size")
    return chosen


def _match(piece: Piece | None, named: NamedPart) -> Piece:
    if (
        piece is None
        or piece.etag != named.etag
        or any(piece.attributes.get(name) != value for name, value in named.checksums.items())
    ):
        raise InvalidPart(
            "One or more of the specified parts could not be found. The part may not have "
            "been uploaded, or the specified entity tag may not match the part's entity tag."
        )
    return piece
