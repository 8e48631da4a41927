"""How a JSON body becomes a config: strict models whose mistakes are told with the field's path."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from gridwatch.errors import JobsBodyError, JobsValueError

__all__ = ["Body", "check_id", "check_name", "path_of", "read_body"]

_ID = re.compile(r"[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?")
_ID_MAX = 64
_UNFIT = re.compile(r'["\\\x00-\x1f\x7f]')


class Body(BaseModel):
    """A part of a config: unknown keys are refused, and nothing changes once it is read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


T = TypeVar("T", bound=Body)


def read_body(model: type[T], raw: object, path: str = "") -> T:
    """Return `raw` as a config.

    Args:
        model: What it is read as.
        raw: What `json.loads` returned.
        path: Where the body itself stands, "" for the top.

    Raises:
        JobsBodyError: It is no object, a key is unknown or missing, or a value has another type; the first mistake
            is told, with path, value and what is allowed.
    """
    if not isinstance(raw, Mapping):
        raise JobsBodyError(f"expected an object, got {_shown(raw)}.", path=path)
    try:
        return model.model_validate(dict(raw))
    except ValidationError as error:
        raise _told(model, error.errors(include_url=False)[0], path) from None


def path_of(parts: Sequence[str | int], root: str = "") -> str:
    """Return `a.b[0].c` for the parts of a path.

    >>> path_of(("detectors", 0, "function"), "analysis_config")
    'analysis_config.detectors[0].function'
    """
    text = root
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f"{'.' if text else ''}{part}"
    return text


def check_id(value: str, path: str) -> str:
    """Return an id that Elasticsearch takes: lower case letters, digits, `-` and `_`, 64 at most.

    Raises:
        JobsValueError: Anything else.
    """
    if not _ID.fullmatch(value):
        raise JobsValueError(
            f"invalid id {value!r}: it may hold lower case letters and digits (a-z, 0-9), hyphens and underscores, "
            "and starts and ends with a letter or digit.",
            path=path,
            value=value,
        )
    if len(value) > _ID_MAX:
        raise JobsValueError(
            f"the id {value!r} has {len(value)} characters; at most {_ID_MAX}.", path=path, value=value
        )
    return value


def check_name(value: str, path: str) -> str:
    """Return a field's name without quote, backslash and control characters, which no field may have.

    Raises:
        JobsValueError: It is empty or holds one of them.
    """
    if not value or _UNFIT.search(value):
        raise JobsValueError(
            f"invalid field name {value!r}: it may not be empty, nor hold a double quote, backslash or control "
            "character.",
            path=path,
            value=value,
        )
    return value


def _told(model: type[Body], item: Any, root: str) -> JobsBodyError:
    """Return pydantic's first mistake in our words."""
    loc = tuple(part for part in item["loc"] if not _is_branch(part))
    path = path_of(loc, root)
    if item["type"] == "extra_forbidden":
        known = sorted(_fields_at(model, loc[:-1]))
        near = difflib.get_close_matches(str(loc[-1]), known, n=1)
        hint = f", did you mean [{near[0]}]?" if near else "."
        return JobsBodyError(f"unknown field [{loc[-1]}]{hint}", path=path, allowed=() if near else known)
    if item["type"] == "missing":
        return JobsBodyError("is required and is missing.", path=path)
    text = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    return JobsBodyError(f"{_shown(item['input'])} is not taken: should be {text}.", path=path, value=item["input"])


def _is_branch(part: str | int) -> bool:
    """Whether a part of pydantic's path is no key, but names the branch of a union."""
    return isinstance(part, str) and (part in {"str", "int", "float", "bool"} or "[" in part)


def _fields_at(model: type[Body], loc: Sequence[str | int]) -> list[str]:
    """Return the keys that the object at `loc` may have."""
    here: type[BaseModel] = model
    for part in loc:
        if isinstance(part, str) and (field := _field_of(here, part)) is not None:
            here = _model_in(field.annotation) or here
    return [field.alias or name for name, field in here.model_fields.items()]


def _field_of(model: type[BaseModel], key: str) -> Any:
    return next((field for name, field in model.model_fields.items() if key in {name, field.alias}), None)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part)) is not None), None)


def _shown(value: object) -> str:
    """Return a value as it is told: short, and by its JSON type where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
