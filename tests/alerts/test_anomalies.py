"""The list of anomalies that the CLI and the pages show."""

from __future__ import annotations

import json
from typing import Any, get_args

import pytest

from gridwatch.alerts.anomalies import list_anomalies
from gridwatch.alerts.anomaly import SEVERITIES, severity_rank
from gridwatch.containers import Store
from gridwatch.containers.catalog import DELIVERIES
from gridwatch.detectors import Severity, severity_of
from gridwatch.pipeline.label_targets import Target
from gridwatch.pipeline.labels import say


def test_newest_first_over_all_series_with_their_mail(store: Store, put_anomaly: Any) -> None:
    first, second = put_anomaly(0), put_anomaly(1, symbol="IBM", severity="medium")
    rows = list_anomalies(store)
    assert [(row["id"], row["series"], row["mail"]) for row in rows] == [
        (second, "IBM", "pending"),
        (first, "AAPL", "pending"),
    ]
    assert rows[1]["time"] == "2005-02-28T05:00:00Z"
    json.dumps(rows)

    store.put_container(DELIVERIES)
    store.execute(
        "INSERT INTO deliveries (id, anomaly_id, status, message_id, error, recipients, possible_duplicate) "
        "VALUES (?, ?, 'sent', 'm-1', NULL, 'a@b.c', ?)",
        [f"{first}:email", first, True],
    )
    row = list_anomalies(store, symbol="AAPL")[0]
    told = {name: value for name, value in row.items() if name.startswith("mail")}
    assert told == {
        "mail": "sent",
        "mail_held": None,
        "mail_id": "m-1",
        "mail_error": None,
        "mail_to": "a@b.c",
        "mail_possible_duplicate": True,
    }


def test_what_people_say_of_them(store: Store, put_anomaly: Any) -> None:
    keys = [put_anomaly(day) for day in range(3)] + [put_anomaly(0, symbol="IBM")]
    rows = {row["id"]: row for row in list_anomalies(store)}
    assert {row["label"] for row in rows.values()} == {None}
    first_ms, third_ms = rows[keys[0]]["ts_ms"], rows[keys[2]]["ts_ms"]
    say(store, "expected", Target("AAPL", "", None, first_ms, third_ms - 1), author="ann", now_ms=third_ms)
    say(store, "false", Target("AAPL", "", keys[0], first_ms, first_ms), author="bob", now_ms=third_ms, note="flush")
    told = {row["id"]: (row["label"], row["label_note"], row["label_by"]) for row in list_anomalies(store)}
    assert [told[key] for key in keys] == [
        ("false", "flush", "bob"),
        ("expected", "", "ann"),
        (None, None, None),
        (None, None, None),
    ]


def test_filters(store: Store, put_anomaly: Any) -> None:
    keys = [put_anomaly(day, severity=word) for day, word in enumerate(["critical", "high", "medium", "low", None])]

    def ids(**filters: Any) -> list[str]:
        return [row["id"] for row in list_anomalies(store, **filters)]

    assert ids() == keys[::-1]
    assert ids(limit=2) == keys[:2:-1]
    assert ids(severity="high") == [keys[1], keys[0]]
    assert ids(severity="low") == keys[3::-1]
    assert ids(symbol="NONE") == []
    newest_ms = list_anomalies(store)[0]["ts_ms"]
    assert ids(since_ms=newest_ms) == keys[4:]
    assert ids(since_ms=newest_ms + 1) == []


def test_severities_are_those_of_the_detectors() -> None:
    words = [severity_of(score) for score in (99.96, 99.4, 98.2, 96.98)]
    assert tuple(words) == SEVERITIES
    assert sorted(SEVERITIES) == sorted(get_args(Severity))
    assert [severity_rank(word) for word in (*words, None, "awful")] == [0, 1, 2, 3, 4, 4]


def test_an_empty_store_has_none(store: Store) -> None:
    assert list_anomalies(store) == []


def test_wrong_filters_are_told(store: Store) -> None:
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        list_anomalies(store, limit=0)
    with pytest.raises(ValueError, match="no severity 'awful'; there are critical, high, medium, low"):
        list_anomalies(store, severity="awful")
