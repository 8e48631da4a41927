"""One question to Alpha Vantage, and what its answer means. The API key is in no message, log or address shown."""

from __future__ import annotations

import json
import logging
import re
import ssl
from email.utils import parsedate_to_datetime
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from typing_extensions import override

from gridwatch.errors import RateLimitedError, SourceError
from gridwatch.settings import AlphaVantageSettings

__all__ = ["RETRY_AFTER_MAX_S", "UnreachableError", "ask"]

RETRY_AFTER_MAX_S = 300.0
"""Longest pause that is waited for; the free tier's limit a day asks for hours."""

_BODY_MAX = 64 * 1024 * 1024
_RATE_LIMIT = re.compile(r"rate limit|call frequency|(requests?|calls?) per (second|minute|day)|spreading out", re.I)


class UnreachableError(SourceError):
    """Network trouble or a server error: worth another try."""


def ask(query: dict[str, str], settings: AlphaVantageSettings) -> bytes:
    """Ask once; return the CSV.

    Raises:
        RateLimitedError: It asks to wait; `retry_after_s` has the seconds where it says how many.
        UnreachableError: The network or the server failed.
        SourceError: It refused the key, the symbol or the request.
    """
    key = settings.api_key.get_secret_value() if settings.api_key else ""
    what = f"{query['function']} of {query['symbol']}" + (f" for {query['month']}" if "month" in query else "")
    _hide_keys_in_logs()
    trouble: str | None = None
    failure: type[SourceError] = UnreachableError
    try:
        with requests.Session() as session:
            session.mount("https://", _SystemCertificates())
            response = session.get(
                f"{settings.base_url.rstrip('/')}/query",
                params=query | {"apikey": key},
                timeout=settings.timeout_s,
                allow_redirects=False,
                headers={"User-Agent": "gridwatch"},
            )
    except requests.RequestException as error:
        # An address that is none raises a ValueError too: no waiting helps it.
        failure = SourceError if isinstance(error, ValueError) else UnreachableError
        trouble = _hide(f"{type(error).__name__}: {error}", key)
    if trouble is not None:
        # Outside of the handler on purpose: as cause or context the original would carry the key into tracebacks.
        raise failure(f"Alpha Vantage at {settings.base_url} did not answer {what}: {trouble[:300]}.")
    return _judge(response, what, key)


def _judge(response: requests.Response, what: str, key: str) -> bytes:
    status, start = response.status_code, _hide(response.text[:300].strip(), key)
    if status == 429:
        after_s = _retry_after_s(response)
        if after_s is not None and after_s > RETRY_AFTER_MAX_S:
            raise SourceError(
                f"Alpha Vantage limits requests (status 429) at {what} and wants {after_s:g} s of pause, longer than "
                f"{RETRY_AFTER_MAX_S:g} s; try later, a load goes on where it stopped.",
                retry_after_s=after_s,
            )
        raise RateLimitedError(
            f"Alpha Vantage limits requests (status 429) at {what}: {start!r}; lower "
            "GRIDWATCH_ALPHA_VANTAGE__REQUESTS_PER_MINUTE or try later, a load goes on where it stopped.",
            retry_after_s=after_s,
        )
    if status >= 500:
        raise UnreachableError(f"Alpha Vantage failed with status {status} at {what}: {start!r}.")
    if status in {401, 403}:
        raise SourceError(
            f"Alpha Vantage refused the API key (status {status}) at {what}; check GRIDWATCH_ALPHA_VANTAGE__API_KEY."
        )
    if status != 200:
        raise SourceError(f"Alpha Vantage answered status {status} at {what}: {start!r}; check the base URL.")
    if len(response.content) > _BODY_MAX:
        raise SourceError(f"Alpha Vantage answered {len(response.content)} bytes at {what}, more than {_BODY_MAX}.")
    if response.content.lstrip()[:1] == b"{":
        _judge_json(response, what, key)
    return response.content


def _judge_json(response: requests.Response, what: str, key: str) -> None:
    """Raise what a JSON answer means: with CSV asked for, it is never data."""
    try:
        told: Any = json.loads(response.content)
    except ValueError:
        told = {}
    texts = {name: _hide(str(text), key) for name, text in told.items()} if isinstance(told, dict) else {}
    wrong = texts.get("Error Message")
    note = " ".join(text for name, text in texts.items() if name in {"Note", "Information"})
    if wrong is not None and re.search(r"api ?key", wrong, re.I):
        raise SourceError(f"Alpha Vantage refused the API key: {wrong!r}; check GRIDWATCH_ALPHA_VANTAGE__API_KEY.")
    if wrong is not None:
        raise SourceError(
            f"Alpha Vantage knows no {what}: {wrong!r}; check the symbol in the dataset's source, and whether it was "
            "listed then."
        )
    if re.search(r"demo.{0,12}api key", note, re.I):
        raise SourceError(f"Alpha Vantage refused the API key: {note!r}; check GRIDWATCH_ALPHA_VANTAGE__API_KEY.")
    if "premium endpoint" not in note.lower() and _RATE_LIMIT.search(note):
        raise RateLimitedError(
            f"Alpha Vantage limits requests at {what}: {note!r}; try later, a load goes on where it stopped.",
            retry_after_s=_retry_after_s(response),
        )
    said = note or _hide(response.text[:300], key)
    raise SourceError(f"Alpha Vantage answered {what} with a message and no rows: {said!r}.")


def _retry_after_s(response: requests.Response) -> float | None:
    """Return the seconds of Retry-After; a date there counts from the answer's own Date."""
    text = response.headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", text):
        return float(text)
    try:
        until, since = parsedate_to_datetime(text), parsedate_to_datetime(response.headers.get("Date", ""))
        return max((until - since).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None


def _hide(text: str, key: str) -> str:
    shown = re.sub(r"(apikey=)[^&\s\"')]+", r"\1***", text, flags=re.I)
    return shown.replace(key, "***") if key else shown


class _HideKeys(logging.Filter):
    """Takes API keys out of the addresses that urllib3 logs."""

    @override
    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(_hide(arg, "") if isinstance(arg, str) else arg for arg in record.args)
        return True


_FILTER = _HideKeys()


def _hide_keys_in_logs() -> None:
    for name in ("urllib3.connectionpool", "urllib3.util.retry"):
        logging.getLogger(name).addFilter(_FILTER)  # adding the same filter again changes nothing


class _SystemCertificates(HTTPAdapter):
    """Trusts what the system trusts, beside what requests brings along."""

    @override
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=ssl.create_default_context(), **kwargs)
