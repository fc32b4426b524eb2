"""64-bit hashes of texts, a column at once, the same in every process, version and machine.

Eight bytes of every value are taken at a time and stirred in as splitmix64 does. It is no defence
against who wants collisions: it counts distinct values.
"""

import hashlib

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]

LONG = 256  # bytes; a longer value is hashed for itself
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_MASKS = np.array([(1 << 8 * length) - 1 for length in range(9)], np.uint64)


def texts_of(texts: pa.StringArray) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Give the bytes of all values without a gap, and where each begins (one more: the end)."""
    _, starts, data = texts.buffers()
    offsets = np.frombuffer(starts, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    octets = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    return octets[offsets[0] : offsets[-1]], (offsets - offsets[0]).astype(np.int64)


def hashes_of(texts: pa.StringArray) -> Hashes:
    """Hash every value of a column without nulls."""
    octets, offsets = texts_of(texts)
    padded = np.concatenate([octets, np.zeros(8, np.uint8)])
    words = np.ndarray(len(padded) - 7, np.dtype("<u8"), padded, strides=(1,))
    lengths = np.diff(offsets)
    hashes = _stirred(lengths.astype(np.uint64))
    for at in range(0, min(int(lengths.max(initial=0)), LONG), 8):
        those = np.flatnonzero(lengths > at)
        taken = np.minimum(lengths[those] - at, 8)
        word = words[offsets[those] + at] & _MASKS[taken]
        hashes[those] = _stirred(hashes[those] ^ word)
    for one in np.flatnonzero(lengths > LONG).tolist():
        digest = hashlib.blake2b(octets[offsets[one] : offsets[one + 1]].tobytes(), digest_size=8)
        hashes[one] = int.from_bytes(digest.digest(), "little")
    return hashes


def _stirred(values: Hashes) -> Hashes:
    values = values + _STEP
    values = (values ^ (values >> np.uint64(30))) * _FIRST
    values = (values ^ (values >> np.uint64(27))) * _SECOND
    return values ^ (values >> np.uint64(31))
