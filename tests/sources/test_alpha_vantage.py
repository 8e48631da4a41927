"""Alpha Vantage's protocol, from a server on loopback: data, limits, failures, and a key that is never shown."""

from __future__ import annotations

import logging
import socket
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from gridwatch.errors import GridwatchError, RateLimitedError, SourceError
from gridwatch.settings import AlphaVantageSettings, Settings
from gridwatch.sources import Dataset, open_source
from gridwatch.sources.alpha_vantage import AlphaVantage
from gridwatch.sources.dataset import AlphaVantageSource
from gridwatch.sources.testing import AlphaVantageServer, Answer

MakeDataset = Callable[..., Dataset]
KEY = "secret-key"
NOW_MS = int(datetime(2013, 10, 11, 22, tzinfo=UTC).timestamp() * 1000)
MONTHS = {
    "2013-08": "2013-08-30 15:59:00,1,2,1,1.5,100\r\n",
    "2013-09": "2013-09-30 15:59:00,1,2,1,1.5,100\r\n2013-09-30 15:58:00,1,2,1,1.25,100\r\n",
    "2013-10": "2013-10-10 09:30:00,1,2,1,1.5,100\r\n",
    "daily": "2013-10-11 09:31:00,1,2,1,1.5,100\r\n2013-10-11 09:30:00,1,2,1,1.5,100\r\n",
}
NOTE = (
    '{"Note": "Thank you for using Alpha Vantage! Our standard API call frequency is 5 calls per minute and 500 calls '
    'per day."}'
)
LIMIT = (
    '{"Information": "We have detected your API key as secret-key and our standard API rate limit is 25 requests per '
    'day. Please subscribe to any of the premium plans."}'
)
SPREAD = (
    '{"Information": "Please consider spreading out your free API requests more sparingly (1 request per second)."}'
)
PREMIUM = '{"Information": "Thank you for using Alpha Vantage! This is a premium endpoint."}'


@pytest.fixture
def server() -> Iterator[AlphaVantageServer]:
    with AlphaVantageServer(dict(MONTHS), api_key=KEY) as server:
        yield server


class Clock:
    """Time that passes only by sleeping."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now_s += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _source(
    make_dataset: MakeDataset, server: AlphaVantageServer | str, clock: Clock, *, symbol: str = "IBM", **fields: object
) -> AlphaVantage:
    given: dict[str, object] = {
        name: fields.pop(name) for name in ("api_key", "attempts", "timeout_s", "requests_per_minute") if name in fields
    }
    own: dict[str, object] = {"api_key": SecretStr(KEY), "requests_per_minute": 5, "attempts": 4, "timeout_s": 5.0}
    url = server if isinstance(server, str) else server.url
    source = {"kind": "alpha_vantage", "symbol": symbol, "adjusted": fields.pop("adjusted", False)}
    dataset = make_dataset(source=source, **fields)
    assert isinstance(dataset.source, AlphaVantageSource)
    settings = AlphaVantageSettings.model_validate({"base_url": url, **own, **given})
    return AlphaVantage(dataset, dataset.source, settings, sleep=clock.sleep, monotonic=lambda: clock.now_s)


def test_history_comes_by_month_oldest_first(
    make_dataset: MakeDataset, server: AlphaVantageServer, clock: Clock
) -> None:
    batches = list(_source(make_dataset, server, clock).history(now_ms=NOW_MS, months=2))
    assert [(batch.key, len(batch.frame), batch.complete) for batch in batches] == [
        ("2013-08", 1, True),
        ("2013-09", 2, True),
        ("2013-10", 1, False),
    ]
    assert batches[1].frame["ts"].astype(str).tolist() == ["2013-09-30 19:58:00+00:00", "2013-09-30 19:59:00+00:00"]
    assert server.asked[0] == {
        "function": "TIME_SERIES_INTRADAY",
        "symbol": "IBM",
        "interval": "1min",
        "month": "2013-08",
        "outputsize": "full",
        "adjusted": "false",
        "extended_hours": "true",
        "datatype": "csv",
        "apikey": KEY,
    }


def test_requests_keep_their_pace(make_dataset: MakeDataset, server: AlphaVantageServer, clock: Clock) -> None:
    list(_source(make_dataset, server, clock).history(now_ms=NOW_MS, months=2))
    assert clock.slept == [12.0, 12.0]


def test_done_months_are_not_asked_for(make_dataset: MakeDataset, server: AlphaVantageServer, clock: Clock) -> None:
    source = _source(make_dataset, server, clock)
    assert [batch.key for batch in source.history(now_ms=NOW_MS, months=2, done={"2013-08", "2013-09"})] == ["2013-10"]
    assert [query["month"] for query in server.asked] == ["2013-10"]


@pytest.mark.parametrize(("day", "complete"), [(1, False), (2, False), (3, True)])
def test_a_month_is_complete_only_some_days_after_its_end(
    make_dataset: MakeDataset, server: AlphaVantageServer, clock: Clock, day: int, complete: bool
) -> None:
    now_ms = int(datetime(2013, 10, day, 12, tzinfo=UTC).timestamp() * 1000)
    batches = list(_source(make_dataset, server, clock).history(now_ms=now_ms, months=1))
    assert [batch.complete for batch in batches] == [complete, False]


def test_an_empty_month_is_a_batch_without_rows(
    make_dataset: MakeDataset, server: AlphaVantageServer, clock: Clock
) -> None:
    del server.months["2013-08"]
    first = next(_source(make_dataset, server, clock).history(now_ms=NOW_MS, months=2))
    assert (first.key, len(first.frame), first.rejected, first.complete) == ("2013-08", 0, [], True)


@pytest.mark.parametrize(
    ("interval", "function", "name", "size"),
    [
        ("1min", "TIME_SERIES_INTRADAY", "1min", "full"),
        ("5min", "TIME_SERIES_INTRADAY", "5min", "full"),
        ("15min", "TIME_SERIES_INTRADAY", "15min", "compact"),
        ("30min", "TIME_SERIES_INTRADAY", "30min", "compact"),
        ("1h", "TIME_SERIES_INTRADAY", "60min", "compact"),
        ("1D", "TIME_SERIES_DAILY", None, "compact"),
    ],
)
def test_daily_asks_for_as_much_as_a_day_has(
    make_dataset: MakeDataset,
    server: AlphaVantageServer,
    clock: Clock,
    interval: str,
    function: str,
    name: str | None,
    size: str,
) -> None:
    (batch,) = _source(make_dataset, server, clock, interval=interval).daily(now_ms=NOW_MS)
    assert (batch.key, len(batch.frame), batch.complete) == ("daily-2013-10-11", 2, False)
    asked = server.asked[0]
    assert (asked["function"], asked.get("interval"), asked["outputsize"]) == (function, name, size)
    assert "month" not in asked


def test_history_of_daily_bars_is_cut_to_its_months(
    make_dataset: MakeDataset, server: AlphaVantageServer, clock: Clock
) -> None:
    server.months["daily"] = "2013-10-10,1,2,1,1,7\r\n2013-09-02,1,2,1,1,7\r\n2013-08-30,1,2,1,1,7\r\n"
    (batch,) = _source(make_dataset, server, clock, interval="1D").history(now_ms=NOW_MS, months=1)
    assert batch.frame["ts"].astype(str).tolist() == ["2013-09-02 04:00:00+00:00", "2013-10-10 04:00:00+00:00"]
    assert (server.asked[0]["function"], server.asked[0]["outputsize"]) == ("TIME_SERIES_DAILY", "full")


@pytest.mark.parametrize(
    ("answers", "waits"),
    [
        ([Answer(NOTE)], [12.0]),
        ([Answer(LIMIT), Answer(SPREAD), Answer(NOTE)], [12.0, 24.0, 48.0]),
        ([Answer("slow down", 429, {"Retry-After": "7"})], [7.0, 5.0]),
        ([Answer("slow down", 429)], [12.0]),
        (
            [
                Answer(
                    "slow down",
                    429,
                    {"Date": "Fri, 11 Oct 2013 22:00:00 GMT", "Retry-After": "Fri, 11 Oct 2013 22:00:30 GMT"},
                )
            ],
            [30.0],
        ),
        ([Answer("slow down", 429, {"Retry-After": "soon"})], [12.0]),
        ([Answer("oops", 500), Answer("oops", 503)], None),
        ([Answer("timestamp,open", cut=500)], None),
    ],
)
def test_limits_and_failures_are_waited_for(
    make_dataset: MakeDataset,
    server: AlphaVantageServer,
    clock: Clock,
    answers: list[Answer],
    waits: list[float] | None,
) -> None:
    server.answers.extend(answers)
    (batch,) = _source(make_dataset, server, clock).daily(now_ms=NOW_MS)
    assert len(batch.frame) == 2
    assert len(server.asked) == len(answers) + 1
    if waits is not None:
        assert clock.slept == waits


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (
            Answer(NOTE),
            RateLimitedError,
            r"limits requests at TIME_SERIES_INTRADAY of IBM: .*call frequency.*goes on where",
        ),
        (Answer(LIMIT), RateLimitedError, r"API key as \*\*\* and our standard API rate limit is 25 requests per day"),
        (Answer("wait", 429), RateLimitedError, r"status 429.*GRIDWATCH_ALPHA_VANTAGE__REQUESTS_PER_MINUTE"),
        (Answer("oops", 502), SourceError, r"failed with status 502 at TIME_SERIES_INTRADAY of IBM: 'oops'"),
        (Answer("timestamp", cut=9), SourceError, r"did not answer TIME_SERIES_INTRADAY of IBM: ChunkedEncodingError"),
    ],
)
def test_after_the_last_try_the_last_answer_is_told(
    make_dataset: MakeDataset,
    server: AlphaVantageServer,
    clock: Clock,
    answer: Answer,
    error: type[GridwatchError],
    message: str,
) -> None:
    server.answers.extend([answer] * 4)
    with pytest.raises(error, match=message):
        list(_source(make_dataset, server, clock).daily(now_ms=NOW_MS))
    assert len(server.asked) == 4


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (Answer(PREMIUM), r"with a message and no rows: .*premium endpoint"),
        (Answer("{}"), r"with a message and no rows: '\{\}'"),
        (Answer('{"Meta Data": {'), r"with a message and no rows"),
        (Answer('{"Information": "The **demo** API key is for demo purposes only."}'), r"refused the API key"),
        (Answer("no", 403), r"refused the API key \(status 403\).*GRIDWATCH_ALPHA_VANTAGE__API_KEY"),
        (Answer("", 302, {"Location": "http://127.0.0.1:1/"}), r"answered status 302 .*check the base URL"),
        (Answer("gone", 404), r"answered status 404 .*'gone'; check the base URL"),
        (Answer("<html>"), r"Alpha Vantage's IBM daily-2013-10-11 holds HTML or XML"),
        (Answer(""), r"Alpha Vantage's IBM daily-2013-10-11 is empty"),
        (Answer("slow", 429, {"Retry-After": "86400"}), r"wants 86400 s .*longer than 300 s"),
    ],
)
def test_what_no_waiting_helps_is_told_at_once(
    make_dataset: MakeDataset, server: AlphaVantageServer, clock: Clock, answer: Answer, message: str
) -> None:
    server.answers.append(answer)
    with pytest.raises(SourceError, match=message):
        list(_source(make_dataset, server, clock).daily(now_ms=NOW_MS))
    assert len(server.asked) == 1


def test_a_bad_key_is_told(make_dataset: MakeDataset, server: AlphaVantageServer, clock: Clock) -> None:
    source = _source(make_dataset, server, clock, api_key=SecretStr("wrong"))
    with pytest.raises(SourceError, match=r"refused the API key: 'the parameter apikey is invalid.*__API_KEY"):
        list(source.daily(now_ms=NOW_MS))
    assert len(server.asked) == 1


def test_an_unknown_symbol_is_told(make_dataset: MakeDataset, server: AlphaVantageServer, clock: Clock) -> None:
    source = _source(make_dataset, server, clock, symbol="NOPE")
    with pytest.raises(
        SourceError, match=r"knows no TIME_SERIES_INTRADAY of NOPE for 2013-10: 'Invalid API call.*check"
    ):
        list(source.history(now_ms=NOW_MS, months=0))
    assert len(server.asked) == 1


def test_the_key_is_in_no_message_log_or_traceback(
    make_dataset: MakeDataset, server: AlphaVantageServer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    seen = ""
    with caplog.at_level(logging.DEBUG), socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        nobody = f"http://127.0.0.1:{free.getsockname()[1]}"
        server.answers.extend([Answer(LIMIT)] * 4)
        for where in (nobody, server):
            with pytest.raises(SourceError) as caught:
                list(_source(make_dataset, where, clock).daily(now_ms=NOW_MS))
            error: BaseException | None = caught.value
            while error is not None:
                seen += "".join(traceback.format_exception_only(error))
                error = error.__cause__ or error.__context__
    assert "ConnectionError" in seen
    assert "apikey=***" in caplog.text
    assert KEY not in seen + caplog.text


def test_an_address_that_is_none_is_told(make_dataset: MakeDataset, clock: Clock) -> None:
    with pytest.raises(SourceError, match=r"at htp:/x did not answer .*InvalidSchema"):
        list(_source(make_dataset, "htp:/x", clock).daily(now_ms=NOW_MS))
    assert clock.slept == []


def test_without_a_key_it_is_told_where_to_get_one(make_dataset: MakeDataset) -> None:
    dataset = make_dataset(source={"kind": "alpha_vantage", "symbol": "IBM"})
    for key in (None, SecretStr("  ")):
        settings = Settings(alpha_vantage=AlphaVantageSettings(api_key=key))
        with pytest.raises(SourceError, match=r"'ibm' comes from Alpha Vantage.*set GRIDWATCH_ALPHA_VANTAGE__API_KEY"):
            open_source(dataset, settings)


@pytest.mark.parametrize("interval", ["2min", "30s", "7D"])
def test_an_interval_that_it_has_not_is_told(make_dataset: MakeDataset, clock: Clock, interval: str) -> None:
    with pytest.raises(SourceError, match=rf"has no '{interval}' bars.*use 1min, 5min, 15min, 30min, 60min or 1D"):
        _source(make_dataset, "http://127.0.0.1:1", clock, interval=interval)


def test_adjusted_daily_bars_are_refused(make_dataset: MakeDataset, clock: Clock) -> None:
    with pytest.raises(SourceError, match=r"adjusted 1D bars; only bars as traded"):
        _source(make_dataset, "http://127.0.0.1:1", clock, interval="1D", adjusted=True)


def test_intraday_times_are_new_york_s_for_every_exchange(
    make_dataset: MakeDataset, server: AlphaVantageServer, clock: Clock
) -> None:
    (batch,) = _source(make_dataset, server, clock, timezone="Europe/London", calendar="XLON").daily(now_ms=NOW_MS)
    assert batch.frame["ts"].astype(str).tolist() == ["2013-10-11 13:30:00+00:00", "2013-10-11 13:31:00+00:00"]
