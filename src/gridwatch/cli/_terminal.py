"""What others wrote, made fit for a terminal: nothing in it may move the cursor, hide text or show a secret."""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["MASK", "is_secret", "masked", "one_line", "pretty", "printable"]

MASK = "***"
_SECRET = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|credential|authorization|api[-_.]?key|private[-_.]?key|cookie", re.IGNORECASE
)
# Control characters, what turns the direction of text, what has no width, and halves of surrogate pairs.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


def printable(text: str) -> str:
    r"""Return a text in which what is not to be seen is written out; line ends and tabs stay.

    >>> print(printable("a" + chr(27) + "[31mred"))
    a\x1b[31mred
    """
    return _UNSEEN.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def one_line(text: str) -> str:
    r"""Return a text as `printable` does, with line ends written out as well.

    >>> print(one_line("a" + chr(10) + "b"))
    a\nb
    """
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def is_secret(name: str) -> bool:
    """Tell whether a field or header of this name is likely to hold a secret."""
    return _SECRET.search(name) is not None


def masked(value: Any, name: str = "") -> Any:
    """Return a JSON value in which fields that are named like secrets are masked.

    >>> masked({"user": "me", "api_key": "k", "more": [{"password": 1}]})
    {'user': 'me', 'api_key': '***', 'more': [{'password': '***'}]}
    """
    if name and is_secret(name) and value is not None:
        return MASK
    if isinstance(value, dict):
        return {key: masked(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [masked(inner) for inner in value]
    return value


def pretty(value: Any) -> str:
    """Return a JSON value as text for people: indented, masked, printable."""
    return printable(json.dumps(masked(value), indent=2, ensure_ascii=False))
