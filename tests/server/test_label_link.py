"""Label links of a mail: signed, expiring, and only the POST of their page labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from gridwatch.alerts.anomaly import find_anomaly
from gridwatch.alerts.links import LINK_SECRET, LabelRight, open_token, token_of
from gridwatch.alerts.page_links import label_links
from gridwatch.containers import Store
from gridwatch.pipeline.labels import list_labels
from gridwatch.secrets import secret

AWAY = {"REMOTE_ADDR": "192.0.2.7"}
NOW_MS = 1_760_000_000_000
DAY_MS = 86_400_000


@pytest.fixture
def linked(make_settings: Any) -> Any:
    return make_settings(alerts={"public_url": "https://watch.example", "recipients": ["ops@example.com"]})


@pytest.fixture
def paths(linked: Any, store: Store, key: str) -> dict[str, str]:
    """The paths of the mail's links by their words."""
    anomaly = find_anomaly(store, "ANOMALY_AAPL", key)
    assert anomaly is not None
    links = label_links(linked, anomaly, ["ops@example.com"], now_ms=NOW_MS)
    assert all(address.startswith("https://watch.example/label/") for _, address in links)
    return {words: address.removeprefix("https://watch.example") for words, address in links}


@pytest.fixture
def client(make_app: Any, linked: Any) -> Any:
    return make_app(linked).test_client()


def test_the_page_asks_and_only_its_post_labels(client: Any, paths: dict[str, str], store: Store, key: str) -> None:
    path = paths["False alarm"]
    for method in ("HEAD", "GET", "GET"):
        asked = client.open(path, method=method, environ_base=AWAY)
        assert asked.status_code == 200
    assert list_labels(store) == []
    page = asked.get_data(as_text=True)
    assert "AAPL: critical anomaly 2005-02-28" in page
    assert 'value="false" required checked' in page
    assert "form-action 'self'" in asked.headers["Content-Security-Policy"]

    form = {"verdict": "expected", "note": " the split "}
    saved = client.post(urlsplit(path).path, data=form, environ_base=AWAY)
    assert "Saved: expected." in saved.get_data(as_text=True)
    (label,) = list_labels(store)
    assert (label.verdict, label.note, label.author, label.anomaly_id) == (
        "expected", "the split", "ops@example.com", key,
    )  # fmt: skip
    again = client.get(path, environ_base=AWAY).get_data(as_text=True)
    assert "Until now: expected, “the split”, said by ops@example.com." in again


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({}, "Choose one of the three."),
        ({"verdict": "removed"}, "Choose one"),
        ({"verdict": "true", "note": "x" * 2001}, "2,001 characters"),
    ],
)  # fmt: skip
def test_a_wrong_form_is_told(client: Any, paths: dict[str, str], store: Store, form: Any, message: str) -> None:
    refused = client.post(paths["Expected"], data=form)
    assert refused.status_code == 400
    assert message in refused.get_data(as_text=True)
    assert list_labels(store) == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_other_link_opens_it(
    client: Any, linked: Any, paths: dict[str, str], store: Store, key: str, method: str
) -> None:
    signer = secret(linked.home, LINK_SECRET)
    token = urlsplit(paths["Expected"]).path.removeprefix("/label/")
    right = open_token(signer, token)
    assert right == LabelRight("ANOMALY_AAPL", key, "ops@example.com", NOW_MS + 14 * DAY_MS)

    def ask(token: str) -> Any:
        return client.open(f"/label/{token}", method=method, data={"verdict": "true"}, environ_base=AWAY)

    changed = token[:-2] + ("A" if token[-2] != "A" else "B") + token[-1]
    for wrong in (token[:-1], changed, "x", "%00", "é", token * 9, token_of(b"0" * 32, right)):
        assert "damaged or none of ours" in ask(wrong).get_data(as_text=True)
    expired = LabelRight(right.container, key, "me", NOW_MS - 1)
    assert "It held until 2025-10-09 08:53:19 UTC" in ask(token_of(signer, expired)).get_data(as_text=True)
    gone = LabelRight(right.container, "0" * 32, "me", NOW_MS)
    assert (ask(token_of(signer, gone)).status_code, list_labels(store)) == (404, [])


def test_links_need_an_address_and_days(make_settings: Any, store: Store, key: str, tmp_path: Path) -> None:
    anomaly = find_anomaly(store, "ANOMALY_AAPL", key)
    assert anomaly is not None
    for alerts in ({}, {"public_url": "https://watch.example", "label_links_days": 0}):
        assert label_links(make_settings(alerts=alerts), anomaly, ["a@b.c"], now_ms=NOW_MS) == []
    several = make_settings(alerts={"public_url": "https://watch.example/"})
    (_, address), *_ = label_links(several, anomaly, ["a@b.c", "d@e.f"], now_ms=NOW_MS)
    token = urlsplit(address).path.removeprefix("/label/")
    right = open_token(secret(several.home, LINK_SECRET), token)
    assert right is not None
    assert right.author == "a reader of the mail"
