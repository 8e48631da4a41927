"""The series of a detector: which row belongs to which, by the values of its split fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pandas as pd

__all__ = ["SERIES_BYTES", "Key", "SeriesIndex", "text_of"]

Ints: TypeAlias = npt.NDArray[np.int64]

Key: TypeAlias = tuple[str, ...]
"""One value a split field, "" where it is missing."""

_CODES_MAX = 2**31

_KEY_BYTES = 120
"""A tuple in a dict and in a list, without its text; measured by `sys.getsizeof` on CPython 3.11."""

SERIES_BYTES = 160
"""What a series takes beside its models, with values of some 20 characters."""


class SeriesIndex:
    """Numbers for the combinations of values of some fields, from 0 in the order in which they came.

    Args:
        fields: Split fields; without any there is one series, 0.
        needed: Those of them that may not be missing: rows without belong to no series. A missing value of another
            field, "", is a value of its own.
    """

    def __init__(self, fields: Sequence[str], needed: frozenset[str]) -> None:
        self.fields = tuple(fields)
        self.needed = needed
        self.keys: list[Key] = []
        self._places: dict[Key, int] = {}
        self.nbytes = 0

    def __len__(self) -> int:
        return len(self.keys)

    def restore(self, keys: Sequence[Key]) -> None:
        """Take back the keys of a stored state, in their order."""
        for key in keys:
            self._add(key)

    def kept(self, which: Sequence[int]) -> SeriesIndex:
        """Return an index of some of the series, numbered anew in the same order."""
        other = SeriesIndex(self.fields, self.needed)
        other.restore([self.keys[number] for number in which])
        return other

    def places(self, columns: Mapping[str, pd.Categorical], rows: int, most: int) -> tuple[Ints, int]:
        """Return the series of each row.

        Args:
            columns: Of each split field (n,), "" where missing.
            rows: n.
            most: How many series there may be; rows of what comes beyond have none.

        Returns:
            int64 (n,), -1 for no series; and how many series there was no room for.
        """
        if not self.fields:
            if rows and not self.keys:
                self._add(())
            return np.zeros(rows, np.int64), 0
        combined, many = np.zeros(rows, np.int64), 1
        absent = np.zeros(rows, np.bool_)
        for name in self.fields:
            column = columns[name]
            if name in self.needed:
                absent |= np.asarray(column == "")
            if many * len(column.categories) > _CODES_MAX:
                # Renumbered, so that the product of many fields does not overflow.
                combined = pd.factorize(combined)[0].astype(np.int64)
                many = int(combined.max(initial=-1)) + 1
            combined = combined * len(column.categories) + column.codes
            many *= len(column.categories)
        combined = np.where(absent, -1, combined) if absent.any() else combined
        codes, firsts = _numbered(combined, many)
        known, refused = self._numbers(columns, firsts, most)
        # What is in no series has the last place of all.
        return np.append(known, -1)[codes], refused

    def _numbers(self, columns: Mapping[str, pd.Categorical], firsts: Ints, most: int) -> tuple[Ints, int]:
        """Return the number of the series of each of some rows, made where it is new and there is room."""
        texts = [np.asarray(columns[name][firsts], object) for name in self.fields]
        known = np.full(len(firsts), -1, np.int64)
        refused = 0
        for place, key in enumerate(zip(*texts, strict=True)):
            number = self._places.get(key, -1)
            if number < 0 and len(self.keys) < most:
                number = self._add(key)
            refused += number < 0
            known[place] = number
        return known, refused

    def _add(self, key: Key) -> int:
        self._places[key] = len(self.keys)
        self.keys.append(key)
        self.nbytes += _KEY_BYTES + sum(len(part.encode()) for part in key)
        return len(self.keys) - 1


def _numbered(codes: Ints, many: int) -> tuple[Ints, Ints]:
    """Number codes anew, from 0 in the order in which they come.

    Args:
        codes: int64 (n,), below `many`; -1 for none.
        many: How many there may be.

    Returns:
        int64 (n,), -1 for none; and int64 (k,), the first row of each.
    """
    if many > max(4 * len(codes), 1024):
        # Few rows of a large product of fields.
        numbers, seen = pd.factorize(codes, use_na_sentinel=False)
        firsts = np.zeros(len(seen), np.int64)
        firsts[numbers[::-1]] = np.arange(len(codes) - 1, -1, -1)
    else:
        first = np.full(many + 1, -1, np.int64)
        first[codes[::-1]] = np.arange(len(codes) - 1, -1, -1)
        firsts = np.sort(first[first >= 0])
        renumbered = np.full(many + 1, -1, np.int64)
        renumbered[codes[firsts]] = np.arange(len(firsts))
        numbers = renumbered[codes]
    there = codes[firsts] >= 0
    if there.all():
        return numbers, firsts
    order = np.append(np.where(there, np.cumsum(there) - 1, -1), -1)
    return order[numbers], firsts[there]


def text_of(value: object) -> str:
    """Return a field's value as a keyword: whole floats without their point, booleans in lower case, "" for none."""
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value)):
        return ""
    if isinstance(value, (bool, np.bool_)):
        return "true" if value else "false"
    if isinstance(value, (float, np.floating)) and float(value).is_integer():
        return str(int(value))
    return str(value)
