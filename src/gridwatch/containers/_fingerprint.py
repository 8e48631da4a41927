"""Checksums of rows that do not depend on their order: two stores hold the same rows when count and checksum agree."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Fingerprint", "row_hashes"]

_LANES = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F)
_NULL = np.uint64(0x5BF0_3635_DCF3_9F1D)
_HASH_KEY = "gridwatch-copy-1"
Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """How many rows there are, and two sums of their hashes, modulo 2^64."""

    rows: int = 0
    low: int = 0
    high: int = 0

    def __add__(self, other: Fingerprint) -> Fingerprint:
        modulus = 2**64
        return Fingerprint(self.rows + other.rows, (self.low + other.low) % modulus, (self.high + other.high) % modulus)

    @property
    def checksum(self) -> str:
        """The sums as 32 hex digits."""
        return f"{self.high:016x}{self.low:016x}"

    @classmethod
    def of(cls, table: pa.Table) -> Fingerprint:
        """Return the fingerprint of a table's rows."""
        hashes = row_hashes(table)
        with np.errstate(over="ignore"):
            low, high = (int(lane.sum(dtype=np.uint64)) for lane in (hashes[:, 0], hashes[:, 1]))
        return cls(table.num_rows, low, high)


def row_hashes(table: pa.Table) -> Hashes:
    """Return two hashes of each row, uint64 (n, 2); columns count by their names without case, not by their place."""
    found = np.zeros((table.num_rows, 2), np.uint64)
    for name, column in zip(table.column_names, table.columns, strict=True):
        values = _value_hashes(column)
        label = int.from_bytes(hashlib.blake2b(name.lower().encode(), digest_size=8).digest(), "big")
        for lane, seed in enumerate(_LANES):
            found[:, lane] += _mixed(values ^ np.uint64(label ^ seed))
    for lane in range(2):
        found[:, lane] = _mixed(found[:, lane])
    return found


def _mixed(values: Hashes) -> Hashes:
    """Spread every bit over the whole number (the finalizer of SplitMix64)."""
    mixed = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _value_hashes(column: pa.ChunkedArray) -> Hashes:
    array = column.combine_chunks()
    missing = pc.is_null(array).to_numpy(zero_copy_only=False)
    hashes = _filled_hashes(array)
    hashes[missing] = _NULL
    return hashes


def _filled_hashes(array: pa.Array) -> Hashes:
    """Return a hash of each value; what a null gives does not matter."""
    kind = array.type
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.int64())
    elif pa.types.is_boolean(kind):
        array = array.cast(pa.int8())
    if pa.types.is_integer(array.type):
        numbers = array.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
        return _mixed(numbers.view(np.uint64))
    if pa.types.is_floating(kind):
        numbers = array.fill_null(0.0).to_numpy(zero_copy_only=False).astype(np.float64)
        # Some backends lose the sign of zero.
        return _mixed((numbers + 0.0).view(np.uint64))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        texts = array.fill_null("").to_numpy(zero_copy_only=False)
        return np.asarray(pd.util.hash_array(texts, hash_key=_HASH_KEY, categorize=False), np.uint64)
    if pa.types.is_null(kind):
        return np.zeros(len(array), np.uint64)
    return np.fromiter((_bytes_hash(value) for value in array), np.uint64, len(array))


def _bytes_hash(value: pa.Scalar) -> int:
    data: object = value.as_buffer() if hasattr(value, "as_buffer") else None
    if data is None:
        data = b"" if not value.is_valid or hasattr(value, "as_buffer") else _json(value)
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")  # type: ignore[arg-type]


def _json(value: pa.Scalar) -> bytes:
    return json.dumps(value.as_py(), default=str).encode()
