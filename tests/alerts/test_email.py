"""The mail that a person reads: right words, right numbers, nothing that a row's text could break out of."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from gridwatch.alerts.anomaly import Anomaly, find_anomaly
from gridwatch.alerts.email import compose, subject_of
from gridwatch.alerts.mail_check import check_mail
from gridwatch.alerts.wording import change, change_in_words, moment, number, one_in, span
from gridwatch.containers import Store
from gridwatch.containers.catalog import VALIDATIONS
from gridwatch.errors import DeliveryError
from gridwatch.settings import Settings
from gridwatch.sources.dataset import Dataset, load_dataset


@pytest.fixture
def dataset(write_dataset: Callable[..., Any]) -> Dataset:
    return load_dataset(write_dataset(description="Apple's <daily> prices"))


@pytest.fixture
def anomaly(store: Store, put_anomaly: Callable[..., str]) -> Anomaly:
    found = find_anomaly(store, "ANOMALY_AAPL", put_anomaly())
    assert found is not None
    return found


def parts(mail: dict[str, Any]) -> tuple[str, str]:
    text, html = mail["content"]
    assert (text["type"], html["type"]) == ("text/plain", "text/html")
    return text["value"], html["value"]


def test_the_subject_says_it_all(anomaly: Anomaly, dataset: Dataset) -> None:
    expected = "[gridwatch] AAPL: critical anomaly 2005-02-28, close 44.86, expected 88.80 (score 100)"
    assert subject_of(anomaly, dataset) == expected


def test_without_its_dataset_a_row_is_told_in_utc(anomaly: Anomaly) -> None:
    expected = "[gridwatch] AAPL: critical anomaly 2005-02-28 05:00 UTC, value 44.86, expected 88.80 (score 100)"
    assert subject_of(anomaly, None) == expected


@pytest.mark.parametrize(
    ("severity", "colour"), [("critical", "#b42318"), ("high", "#c4320a"), ("medium", "#b54708"), ("low", "#175cd3")]
)
def test_each_severity_has_its_colour(
    put_anomaly: Any, dataset: Dataset, store: Store, settings: Settings, severity: str, colour: str
) -> None:
    anomaly = find_anomaly(store, "ANOMALY_AAPL", put_anomaly(severity=severity))
    assert anomaly is not None
    _, html = parts(compose(anomaly, dataset, store, settings, recipients=["a@b.c"], key="k"))
    assert f"border-top:4px solid {colour};" in html


def test_a_mail_holds_what_sendgrid_wants_and_people_need(
    anomaly: Anomaly, dataset: Dataset, store: Store, make_settings: Any, scores: pd.DataFrame
) -> None:
    settings = make_settings(alerts={"public_url": "https://watch.example/"}, sendgrid={"sender": "watch@example.com"})
    key = f"{anomaly.id}:email"
    mail = compose(anomaly, dataset, store, settings, recipients=["a@example.com", "b@example.com"], key=key)
    assert check_mail(mail) == []
    assert mail["personalizations"] == [{"to": [{"email": "a@example.com"}, {"email": "b@example.com"}]}]
    assert mail["from"]["email"] == "watch@example.com"
    assert mail["custom_args"] == {"gridwatch_key": key, "anomaly_id": anomaly.id, "container": "ANOMALY_AAPL"}
    assert mail["headers"] == {"X-Gridwatch-Key": key}
    assert mail["categories"] == ["gridwatch", "critical", "AAPL"]
    (plot,) = mail["attachments"]
    assert b64decode(plot["content"]).startswith(b"\x89PNG")
    text, html = parts(mail)
    assert f"cid:{plot['content_id']}" in html
    for word in (
        "44.86", "88.80", "-43.94 (-49.5 %)", "85.50 to 92.10", "100 of 100", "about one in 1,200 rows", "31.40",
        "critical", "models:/gridwatch-aapl_daily/3", "ab" * 32, "5c0ffee5", "val-1", "flow-1",
        "2005-01-29 to 2005-02-28", f"https://watch.example/anomalies/ANOMALY_AAPL/{anomaly.id}", key,
    ):  # fmt: skip
        assert word in text
        assert word in html
    assert "Apple's <daily> prices" in text
    assert "Apple&#39;s &lt;daily&gt; prices" in html


def test_the_mail_says_what_stood_out_and_what_would_have_been_normal(
    put_anomaly: Any, dataset: Dataset, store: Store, settings: Settings
) -> None:
    more = {"detector": "auto", "driver": "seasonal", "anomaly_score": 98.76, "segment_score": 51.2}
    anomaly = find_anomaly(store, "ANOMALY_AAPL", put_anomaly(**more))
    assert anomaly is not None
    normal = "a value like those at the same time of earlier days"
    sentence = f"44.86 is below the ordinary 85.5 to 92.1; 88.8 was expected. .*; normal would have been {normal}"
    for part in parts(compose(anomaly, dataset, store, settings, recipients=["a@b.c"], key="k")):
        assert re.search(sentence, part)
        for word in ("Normal would be", normal, "Driven by", "seasonal", "98.76 of 100", "51.2 of 100"):
            assert word in part
    told = find_anomaly(store, "ANOMALY_AAPL", put_anomaly(explanation="As the row says."))
    assert told is not None
    assert "As the row says." in parts(compose(told, None, store, settings, recipients=["a@b.c"], key="k"))[0]


def test_no_scores_no_picture(anomaly: Anomaly, store: Store, settings: Settings) -> None:
    mail = compose(anomaly, None, store, settings, recipients=["a@example.com"], key="k")
    assert "attachments" not in mail
    assert check_mail(mail) == []
    assert "there are no scored rows around this one" in parts(mail)[1]


def test_a_row_of_nulls_still_makes_a_mail(store: Store, settings: Settings) -> None:
    bare = Anomaly("ANOMALY_PUMP", "0" * 32, 0)
    mail = compose(bare, None, store, settings, recipients=["a@example.com"], key="k")
    assert check_mail(mail) == []
    assert mail["subject"] == ("[gridwatch] PUMP: unrated anomaly 1970-01-01 00:00 UTC, value -, expected - (score -)")
    assert "None" not in "".join(parts(mail))


@hypothesis_settings(
    max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(
    words=st.lists(st.text(max_size=40), min_size=4, max_size=4),
    numbers=st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=3, max_size=3),
    when=st.integers(min_value=0, max_value=253_402_300_799_999),
)
def test_no_text_of_a_row_breaks_the_mail(
    store: Store, settings: Settings, words: list[str], numbers: list[float], when: int
) -> None:
    evil = Anomaly(
        "ANOMALY_X", "0" * 32, when, detector=words[0], severity=words[1] + "<script>", model_uri=words[2] + '"><img',
        flow_run_id=words[3], actual=numbers[0], expected=numbers[1], score=numbers[2], detected_ms=when,
    )  # fmt: skip
    mail = compose(evil, None, store, settings, recipients=["a@example.com"], key="k")
    html = parts(mail)[1]
    assert "<script" not in html
    assert "><img" not in html
    assert "\n" not in mail["subject"]
    assert "\r" not in mail["subject"]
    assert check_mail(mail) == []


def test_a_row_without_time_is_refused() -> None:
    with pytest.raises(DeliveryError, match=r"Anomaly 'x' of 'ANOMALY_X' has no time in `ts`"):
        Anomaly.from_row("ANOMALY_X", {"id": "x", "ts": None})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.5, "-0.5"), (999.994, "999.99"), (1000.0, "1,000"), (1234.5, "1,234.50"), (1e18, "1.000e+18"),
        (5e-324, "4.941e-324"), (float("nan"), "-"), (float("inf"), "-"), (None, "-"),
    ],
)  # fmt: skip
def test_numbers(value: float | None, text: str) -> None:
    assert number(value) == text


def test_differences_and_chances() -> None:
    assert change(2.0, 1.0) == "+1.00 (+100.0 %)"
    assert change(1.0, 0.0) == "+1.00"
    assert change(1.0, None) == "-"
    assert change_in_words(1.0, -2.0) == "3.00 (150.0 %) above what was expected"
    assert change_in_words(1.0, 1.0) == "just what was expected"
    assert one_in(0.9) == "nearly every row"
    assert one_in(1 / 7) == "about one in 7 rows"
    assert one_in(5.0) == "nearly every row"


def test_times_beyond_the_calendar_do_not_fail() -> None:
    assert moment(10**18) == "1000000000000000000 ms"
    assert span(None, 0) == "- to 1970-01-01 00:00 UTC"
    assert moment(1_109_566_801_000) == "2005-02-28 05:00:01 UTC"


@pytest.mark.parametrize(
    ("success", "outcome", "warning"),
    [
        (True, "val-1 (passed)", ""),
        (False, "val-1 (failed)", "The rows failed their validation and were scored all the same."),
        (None, "val-1 (no longer there)", ""),
    ],
)
def test_the_mail_says_how_the_rows_were_validated(
    anomaly: Anomaly,
    dataset: Dataset,
    store: Store,
    settings: Settings,
    success: bool | None,
    outcome: str,
    warning: str,
) -> None:
    if success is not None:
        store.put_container(VALIDATIONS)
        store.put(VALIDATIONS.name, pd.DataFrame({"id": ["val-1"], "success": [success]}))
    for part in parts(compose(anomaly, dataset, store, settings, recipients=["a@example.com"], key="k")):
        assert outcome in part
        assert ("validation and" in part) == bool(warning)
        assert warning in part


def test_the_mail_warns_of_rows_that_were_never_validated(
    put_anomaly: Callable[..., str], dataset: Dataset, store: Store, settings: Settings
) -> None:
    anomaly = find_anomaly(store, "ANOMALY_AAPL", put_anomaly(validation_id=None))
    assert anomaly is not None
    text, _ = parts(compose(anomaly, dataset, store, settings, recipients=["a@example.com"], key="k"))
    assert "The rows were not validated before they were scored." in text


def test_label_links_are_in_both_parts_and_only_where_somebody_can_follow_them(
    make_settings: Any, store: Store, put_anomaly: Any
) -> None:
    anomaly = find_anomaly(store, "ANOMALY_AAPL", put_anomaly())
    assert anomaly is not None

    def parts(public_url: str | None, now_ms: int | None) -> list[str]:
        settings = make_settings(alerts={"public_url": public_url})
        mail = compose(anomaly, None, store, settings, recipients=["a@b.c"], key="k", now_ms=now_ms)
        assert check_mail(mail) == []
        return [part["value"] for part in mail["content"]]

    for text in parts("https://watch.example", 1_760_000_000_000):
        assert "Was it right?" in text
        assert [text.count(f"?say={verdict}") for verdict in ("true", "false", "expected")] == [1, 1, 1]
        assert text.count("https://watch.example/label/") == 3
    assert all("/label/" not in text for text in parts(None, 1_760_000_000_000) + parts("https://watch.example", None))
