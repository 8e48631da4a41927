"""Alpha Vantage: stock prices as CSV, a month at a time or the newest days.

History is `TIME_SERIES_INTRADAY` with `month=YYYY-MM`. (Its predecessor `TIME_SERIES_INTRADAY_EXTENDED`, whose slices
older projects load, was withdrawn by Alpha Vantage.) Times are US/Eastern market time, newest row first.

Errors come as JSON with status 200; they are told as errors here, and notes about rate limits are waited for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator

import pandas as pd
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from typing_extensions import override

from gridwatch.errors import RateLimitedError, SourceError
from gridwatch.settings import AlphaVantageSettings
from gridwatch.sources.alpha_vantage_http import UnreachableError, ask
from gridwatch.sources.base import Source, SourceBatch
from gridwatch.sources.csv_rows import parse_csv
from gridwatch.sources.dataset_model import AlphaVantageSource, Dataset

__all__ = ["INTERVALS", "AlphaVantage"]

INTERVALS = {1: "1min", 5: "5min", 15: "15min", 30: "30min", 60: "60min"}
"""Minutes between two bars to Alpha Vantage's name for it."""

_ZONE = "America/New_York"
_DAY_MS = 86_400_000
_COMPACT_ROWS = 100
_SETTLED_DAYS = 2
_WAIT_MAX_S = 60.0


class AlphaVantage(Source):
    """Bars of one stock.

    Args:
        dataset: Its interval is 1min, 5min, 15min, 30min, 60min or 1D.
        source: Symbol at Alpha Vantage and kind of prices.
        settings: API key, address, limits.
        sleep: Waits that many seconds; tests pass their own.
        monotonic: Seconds of a clock that only goes forward.

    Raises:
        SourceError: There is no API key, or no such interval at Alpha Vantage.
    """

    def __init__(
        self,
        dataset: Dataset,
        source: AlphaVantageSource,
        settings: AlphaVantageSettings,
        *,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if settings.api_key is None or not settings.api_key.get_secret_value().strip():
            raise SourceError(
                f"Dataset {dataset.name!r} comes from Alpha Vantage, which wants a key; get a free one at "
                "https://www.alphavantage.co/support/#api-key and set GRIDWATCH_ALPHA_VANTAGE__API_KEY."
            )
        minutes, rest = divmod(dataset.interval_ms, 60_000)
        self._daily_bars = dataset.interval_ms == _DAY_MS
        if not self._daily_bars and (rest or minutes not in INTERVALS):
            raise SourceError(
                f"Alpha Vantage has no {dataset.interval!r} bars, which dataset {dataset.name!r} asks for; "
                f"use {', '.join(INTERVALS.values())} or 1D.",
                interval=dataset.interval,
            )
        if self._daily_bars and source.adjusted:
            raise SourceError(
                f"Dataset {dataset.name!r} asks for adjusted 1D bars; only bars as traded are read: "
                'leave "adjusted" out of its source.'
            )
        self._minutes = minutes
        self._dataset = dataset
        self._source = source
        self._settings = settings
        self._sleep = sleep
        self._monotonic = monotonic
        self._asked_s: float | None = None

    @override
    def history(self, *, now_ms: int, months: int, done: Collection[str] = ()) -> Iterator[SourceBatch]:
        """Yield one batch a month: the current month and the `months` before it; its key is `YYYY-MM`.

        A month is complete two days after its end, when late bars are in. Daily bars come in one batch, `daily`.
        """
        now = pd.Timestamp(now_ms, unit="ms", tz=self._dataset.timezone)
        current = now.tz_localize(None).to_period("M")
        first = current - months
        if self._daily_bars:
            batch = self._fetch({"outputsize": "full"}, "daily", complete=False)
            begin = first.to_timestamp().tz_localize(self._dataset.timezone)
            recent = batch.frame[batch.frame["ts"] >= begin].reset_index(drop=True)
            yield SourceBatch(batch.key, recent, batch.rejected, complete=False)
            return
        settled = (now - pd.Timedelta(days=_SETTLED_DAYS)).tz_localize(None).to_period("M")
        for month in pd.period_range(first, current, freq="M"):
            if str(month) not in done:
                yield self._fetch({"month": str(month), "outputsize": "full"}, str(month), complete=month < settled)

    @override
    def daily(self, *, now_ms: int) -> Iterator[SourceBatch]:
        """Yield the newest bars in one batch: the last 100, or the last 30 days where 100 are not one day."""
        bars_a_day = 1 if self._daily_bars else 24 * 60 // self._minutes
        size = "compact" if bars_a_day <= _COMPACT_ROWS else "full"
        day = pd.Timestamp(now_ms, unit="ms", tz=self._dataset.timezone).date()
        yield self._fetch({"outputsize": size}, f"daily-{day}", complete=False)

    def _fetch(self, more: dict[str, str], key: str, *, complete: bool) -> SourceBatch:
        query = {"function": "TIME_SERIES_DAILY", "symbol": self._source.symbol, "datatype": "csv"} | more
        if not self._daily_bars:
            query |= {
                "function": "TIME_SERIES_INTRADAY",
                "interval": INTERVALS[self._minutes],
                "adjusted": str(self._source.adjusted).lower(),
                "extended_hours": str(self._source.extended_hours).lower(),
            }
        retrying = Retrying(
            stop=stop_after_attempt(self._settings.attempts),
            retry=retry_if_exception_type((RateLimitedError, UnreachableError)),
            wait=self._wait_s,
            sleep=self._sleep,
            reraise=True,
        )
        body = retrying(self._paced, query)
        # Intraday times are New York's for every exchange; a daily bar carries its own session's date.
        zone = self._dataset.timezone if self._daily_bars else _ZONE
        frame, rejected = parse_csv(body, self._dataset, name=f"Alpha Vantage's {self._source.symbol} {key}", zone=zone)
        return SourceBatch(key, frame, rejected, complete=complete)

    def _paced(self, query: dict[str, str]) -> bytes:
        """Ask once, no sooner after the last time than the requests a minute allow."""
        if self._asked_s is not None:
            pause_s = self._asked_s + 60 / self._settings.requests_per_minute - self._monotonic()
            if pause_s > 0:
                self._sleep(pause_s)
        self._asked_s = self._monotonic()
        return ask(query, self._settings)

    def _wait_s(self, state: RetryCallState) -> float:
        """Return seconds until the next try: what the answer asked for, or twice as long as the last time."""
        error = state.outcome.exception() if state.outcome else None
        asked_s = getattr(error, "retry_after_s", None)
        if asked_s is not None:
            return float(asked_s)
        base_s = 60 / self._settings.requests_per_minute if isinstance(error, RateLimitedError) else 0.5
        return float(min(base_s * 2 ** (state.attempt_number - 1), _WAIT_MAX_S))
