"""Suites: Great Expectations' own JSON, read from a folder and checked."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gridwatch.errors import QualityError

__all__ = ["load_suite", "read_suite"]


def read_suite(folder: Path, name: str) -> dict[str, Any]:
    """Return a suite file as it stands, without importing Great Expectations.

    Raises:
        QualityError: It is missing, is not JSON, or has not the shape of a suite; names the file.
    """
    path = folder / f"{name}.json"
    try:
        suite: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = sorted(other.stem for other in folder.glob("*.json"))
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {known}."
        raise QualityError(f"No suite {name!r} in {str(folder)!r}; {hint}", suite=name) from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise QualityError(f"Cannot read suite {str(path)!r}: {error}.", suite=name) from error
    if not isinstance(suite, dict) or not isinstance(suite.get("expectations"), list):
        raise QualityError(f"Suite {str(path)!r} has no list 'expectations'; see expectations/ohlcv.json.", suite=name)
    for place, item in enumerate(suite["expectations"], start=1):
        if not isinstance(item, dict) or not isinstance(item.get("type"), str):
            raise QualityError(f"Suite {str(path)!r}: expectation {place} has no 'type'.", suite=name)
    if suite.get("name") != name:
        raise QualityError(f"Suite {str(path)!r} has the name {suite.get('name')!r}; it must be {name!r}.", suite=name)
    return suite


def load_suite(folder: Path, name: str, parameters: Mapping[str, Any]) -> Any:
    """Return a suite as Great Expectations' ExpectationSuite.

    Args:
        folder: Where the suite files are.
        name: Which one.
        parameters: Values that the suite may name as `{"$PARAMETER": ...}`. Great Expectations fills them in at run
            time, but for `column`, where it takes none: that one is filled in here.

    Raises:
        QualityError: As `read_suite`; or an expectation or parameter is unknown, which is told with the nearest known
            name, or an expectation has wrong arguments.
    """
    raw = read_suite(folder, name)
    for place, item in enumerate(raw["expectations"], start=1):
        item["kwargs"] = _filled(item.get("kwargs", {}), parameters, f"Suite {name!r}: expectation {place}")
    import great_expectations as gx
    from great_expectations.exceptions import GreatExpectationsError
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    from gridwatch.quality import expectations  # noqa: F401 - registers ours

    known = list_registered_expectation_implementations()
    for place, item in enumerate(raw["expectations"], start=1):
        if item["type"] not in known:
            near = difflib.get_close_matches(item["type"], known, n=1, cutoff=0.4)
            hint = f"; did you mean {near[0]!r}?" if near else "."
            raise QualityError(
                f"Suite {name!r}: expectation {place} is of the unknown type {item['type']!r}{hint}", suite=name
            )
    made: list[Any] = []
    for place, item in enumerate(raw["expectations"], start=1):
        try:
            made.append(gx.ExpectationSuite(name=name, expectations=[item]).expectations[0])
        # Its pydantic (an inner version 1) raises subclasses of ValueError for wrong arguments.
        except (ValueError, TypeError, GreatExpectationsError) as error:
            text = " ".join(str(error).split())
            raise QualityError(
                f"Suite {name!r}: expectation {place}, {item['type']}, has wrong arguments: {text}", suite=name
            ) from error
    return gx.ExpectationSuite(name=name, expectations=made, meta=raw.get("meta"))


def _filled(kwargs: Any, parameters: Mapping[str, Any], where: str) -> dict[str, Any]:
    if not isinstance(kwargs, dict):
        raise QualityError(f"{where}: 'kwargs' must be an object, got {kwargs!r}.")
    for value in kwargs.values():
        wanted = value.get("$PARAMETER") if isinstance(value, dict) else None
        if wanted is not None and wanted not in parameters:
            near = difflib.get_close_matches(str(wanted), list(parameters), n=1, cutoff=0.4)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {sorted(parameters)}."
            raise QualityError(f"{where} asks for the unknown parameter {wanted!r}; {hint}", parameter=wanted)
    column = kwargs.get("column")
    return kwargs | ({"column": parameters[column["$PARAMETER"]]} if isinstance(column, dict) else {})
