"""`kibana_sample_data_logs`: requests to a web site."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa

from gridwatch.sources.kibana_rows import HOUR_MS, PutAnomaly, Rows, Span, at_daytime, chosen, texts

__all__ = ["make_logs"]

_NAME = "kibana_sample_data_logs"
_PER_HOUR = 80.0
_COUNTRIES = {
    "CN": 19,
    "IN": 17,
    "US": 9,
    "ID": 4,
    "BR": 4,
    "PK": 3,
    "NG": 3,
    "BD": 3,
    "RU": 2,
    "JP": 2,
    "DE": 2,
    "FR": 2,
}
_HOSTS = {"artifacts.example.org": 45, "www.example.org": 33, "cdn.example.org": 16, "shop.example.org": 6}
_RESPONSES = {"200": 92, "404": 5, "503": 3}
_SYSTEMS = {"win 8": 22, "win xp": 21, "win 7": 20, "ios": 20, "osx": 17}
_PATHS = {
    "css": ("styles/app.css", "styles/main.css"),
    "deb": ("downloads/agent-7.0.0-amd64.deb", "downloads/search-7.0.0.deb"),
    "gz": ("downloads/search-7.0.0-linux.tar.gz", "downloads/dashboard-7.0.0-linux.tar.gz"),
    "rpm": ("downloads/search-7.0.0.rpm", "downloads/agent-7.0.0-x86_64.rpm"),
    "zip": ("downloads/search-7.0.0.zip", "downloads/dashboard-7.0.0-windows.zip"),
    "": ("", "guide", "pricing", "features", "blog"),
}
_KIND_ODDS = {"": 38, "css": 16, "deb": 12, "gz": 14, "rpm": 8, "zip": 12}
_AGENTS = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:6.0a1) Gecko/20110421 Firefox/6.0a1",
    "Mozilla/5.0 (X11; Linux i686) AppleWebKit/534.24 (KHTML, like Gecko) Chrome/11.0.696.50 Safari/534.24",
    "Mozilla/4.0 (compatible; MSIE 6.0; Windows NT 5.1; SV1; .NET CLR 1.1.4322)",
)
_SCRAPER = "185.220.101.47"


def make_logs(span: Span) -> Rows:
    """Return requests, some 80 an hour.

    Odd are: a burst of requests of one client from one country, half an hour; no requests at all, one hour; an hour of
    answers 503 of one host; an hour in which downloads are thirty times as large.
    """
    burst = span.workday(8, 20.0)
    outage = span.workday(6, 11.0)
    errors = span.workday(4, 9.0)
    large = span.workday(2, 14.0)
    times = span.times(span.random(0), _PER_HOUR, at_daytime(12.0))
    times = times[(times < outage) | (times >= outage + HOUR_MS)]
    random = span.random(1)
    scraped = burst + np.sort(random.integers(0, HOUR_MS // 2, 400))
    frame = _usual(span, times)
    extra = _usual(Span(span.seed, span.place + 100, span.start_ms, span.days), scraped)
    extra = extra.assign(**{"geo.src": "RU", "clientip": _SCRAPER, "agent": _AGENTS[1]})
    frame = pd.concat([frame, extra], ignore_index=True).sort_values("timestamp", kind="stable", ignore_index=True)

    when = frame["timestamp"]
    failing = when.between(errors, errors + HOUR_MS - 1) & (frame["host"] == "artifacts.example.org")
    failing &= random.random(len(frame)) < 0.85
    frame.loc[failing, "response"] = "503"
    frame.loc[failing, "bytes"] = 0
    heavy = when.between(large, large + HOUR_MS - 1)
    frame.loc[heavy, "bytes"] *= 30
    frame["geo.srcdest"] = frame["geo.src"] + ":" + frame["geo.dest"]
    frame.insert(0, "id", np.arange(len(frame), dtype=np.int64))
    return Rows(_table(frame), tuple(sorted(_told(burst, outage, errors, large), key=lambda one: one.start_ms)))


def _usual(span: Span, times: np.ndarray[tuple[int], np.dtype[np.int64]]) -> pd.DataFrame:
    """Return ordinary requests at some instants."""
    count, random = len(times), span.random(2)
    extension = chosen(random, _KIND_ODDS, count)
    path = np.empty(count, object)
    for kind, paths in _PATHS.items():
        rows = extension == kind
        path[rows] = texts(random, paths, int(rows.sum()))
    host = chosen(random, _HOSTS, count)
    response = chosen(random, _RESPONSES, count)
    size = np.where(extension == "", random.normal(4000, 1200, count), random.normal(6500, 1800, count))
    size = np.where(response == "200", np.clip(size, 200, None), 0).astype(np.int64)
    address = random.integers(1, 255, (4, count)).astype(str)
    return pd.DataFrame(
        {
            "timestamp": times,
            "clientip": address[0] + np.full(count, ".", object) + address[1] + "." + address[2] + "." + address[3],
            "host": host,
            "extension": extension,
            "request": np.full(count, "/", object) + path,
            "url": np.full(count, "https://", object) + host + "/" + path,
            "response": response,
            "bytes": size,
            "agent": texts(random, _AGENTS, count),
            "geo.src": chosen(random, _COUNTRIES, count),
            "geo.dest": chosen(random, _COUNTRIES, count),
            "machine.os": chosen(random, _SYSTEMS, count),
            "machine.ram": random.integers(2, 33, count) << 30,
        }
    )


def _table(frame: pd.DataFrame) -> pa.Table:
    columns = {
        name: pa.array(frame[name].to_numpy(), pa.int64() if frame[name].dtype.kind == "i" else pa.string())
        for name in frame
    }
    columns["timestamp"] = columns["timestamp"].cast(pa.timestamp("ms", "UTC"))
    return pa.table(columns)


def _told(burst: int, outage: int, errors: int, large: int) -> list[PutAnomaly]:
    return [
        PutAnomaly(
            _NAME, "burst", burst, burst + HOUR_MS // 2, {"geo.src": "RU", "clientip": _SCRAPER},
            "400 requests more in half an hour, all of one client in RU",
        ),
        PutAnomaly(_NAME, "outage", outage, outage + HOUR_MS, {}, "no request at all for an hour of a working day"),
        PutAnomaly(
            _NAME, "errors", errors, errors + HOUR_MS, {"host": "artifacts.example.org", "response": "503"},
            "most answers of one host are 503 for an hour",
        ),
        PutAnomaly(_NAME, "large", large, large + HOUR_MS, {}, "answers have thirty times as many bytes for an hour"),
    ]  # fmt: skip
