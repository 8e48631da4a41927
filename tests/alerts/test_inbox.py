"""The kept mails: whole files or none, SendGrid's refusals, and nothing outside the folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.alerts.inbox import Inbox
from gridwatch.alerts.mail_check import check_mail
from gridwatch.errors import DeliveryError

GOOD: dict[str, Any] = {
    "personalizations": [{"to": [{"email": "you@example.com"}]}],
    "from": {"email": "me@example.com"},
    "subject": "Hello",
    "content": [{"type": "text/plain", "value": "text"}, {"type": "text/html", "value": "<b>html</b>"}],
}
PNG = {"content": "aGVsbG8=", "type": "image/png", "filename": "a.png", "disposition": "inline", "content_id": "plot"}


@pytest.fixture
def inbox(tmp_path: Path) -> Inbox:
    return Inbox(tmp_path / "inbox", mails_max=3)


def test_a_mail_is_kept_as_it_came(inbox: Inbox, tmp_path: Path) -> None:
    name = inbox.keep(GOOD | {"custom_args": {"a": "1"}}, now_ms=1_700_000_000_000)
    mail = inbox.mail(name)
    assert mail is not None
    assert (mail.subject, mail.sender, mail.recipients) == ("Hello", "me@example.com", ["you@example.com"])
    assert (mail.text, mail.html, mail.arguments) == ("text", "<b>html</b>", {"a": "1"})
    assert mail.received_ms == 1_700_000_000_000
    assert [path.name for path in (tmp_path / "inbox").iterdir()] == [f"{name}.json"]


def test_newest_first_and_bounded(inbox: Inbox) -> None:
    assert inbox.mails() == []
    names = [inbox.keep(GOOD, now_ms=1_700_000_000_000 + step) for step in range(5)]
    assert inbox.ids() == names[:1:-1]
    assert [mail.id for mail in inbox.mails(limit=2)] == names[:2:-1]


@pytest.mark.parametrize("name", ["../secret", "..", "", "1700000000000-0123456789ab", "x.json", "a/b"])
def test_other_names_are_no_mails(inbox: Inbox, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret.json").write_text(json.dumps({"received_ms": 1, "request": GOOD}))
    assert inbox.mail(name) is None


@pytest.mark.parametrize("text", ["", "{", "[]", '{"received_ms": 1}', '{"received_ms": "x", "request": {}}'])
def test_a_damaged_file_is_left_out(inbox: Inbox, tmp_path: Path, text: str) -> None:
    name = inbox.keep(GOOD, now_ms=1_700_000_000_000)
    (tmp_path / "inbox" / f"{name}.json").write_text(text)
    assert inbox.mails() == []


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "inbox").write_text("a file")
    with pytest.raises(DeliveryError, match=r"Cannot keep a mail in '.*inbox'") as caught:
        Inbox(tmp_path / "inbox").keep(GOOD, now_ms=1)
    assert not caught.value.permanent


def test_inline_pictures_are_put_into_the_page(inbox: Inbox) -> None:
    html = [{"type": "text/html", "value": '<img src="cid:plot"><img src="cid:other">'}]
    evil = PNG | {"content_id": "other", "type": 'image/png" onerror="x'}
    mail = inbox.mail(inbox.keep(GOOD | {"content": html, "attachments": [PNG, evil]}, now_ms=1))
    assert mail is not None
    assert mail.html == '<img src="data:image/png;base64,aGVsbG8="><img src="cid:other">'


def test_text_alone_is_shown_escaped(inbox: Inbox) -> None:
    only_text = [{"type": "text/plain", "value": "<script>"}]
    mail = inbox.mail(inbox.keep(GOOD | {"content": only_text}, now_ms=1))
    assert mail is not None
    assert mail.html == "<pre>&lt;script&gt;</pre>"


def person(email: object) -> list[dict[str, object]]:
    return [{"to": [{"email": email}]}]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"personalizations": None}, "personalizations"),
        ({"personalizations": []}, "personalizations"),
        ({"personalizations": person("you@x.y") * 1001}, "personalizations"),
        ({"personalizations": [{}]}, "personalizations.0.to"),
        ({"personalizations": ["x"]}, "personalizations.0.to"),
        ({"personalizations": person("nobody")}, "personalizations.0.to.0.email"),
        ({"personalizations": person(7)}, "personalizations.0.to.0.email"),
        ({"personalizations": [{"to": [{"email": "a@b.c"}], "cc": [{"email": "A@b.c"}]}]}, "personalizations.0"),
        ({"personalizations": [{"to": [{"email": "a@b.c"}], "cc": "x"}]}, "personalizations.0.cc.0.email"),
        ({"personalizations": [{"to": [{"email": f"{n}@b.c"} for n in range(600)]}] * 2}, "personalizations"),
        ({"personalizations": [{"to": [{"email": "a@b.c", "name": "A; B"}]}]}, "personalizations.0.to.0.name"),
        ({"from": None}, "from.email"),
        ({"from": {"email": "m\u00e9@b.c"}}, "from.email"),
        ({"from": {"email": "a@b.c", "name": 7}}, "from.name"),
        ({"reply_to": {}}, "reply_to.email"),
        ({"reply_to": {"email": "a@b.c"}, "reply_to_list": [{"email": "a@b.c"}]}, "reply_to_list"),
        ({"reply_to_list": []}, "reply_to_list"),
        ({"content": [{"type": "text/plain; charset=utf-8", "value": "x"}]}, "content.0.type"),
        ({"attachments": [PNG | {"disposition": "beside"}]}, "attachments.0.disposition"),
        ({"attachments": [PNG | {"type": "image/png\r\nX: y"}]}, "attachments.0.type"),
        ({"headers": {"X-N": "a\nb"}}, "headers"),
        ({"headers": {"X-N": "\u00e9"}}, "headers"),
        ({"custom_args": {"n": "x" * 10_000}}, "custom_args"),
        ({"tracking_settings": {"click_tracking": {"enable": "no"}}}, "tracking_settings.click_tracking.enable"),
        ({"asm": {"group_id": True}}, "asm.group_id"),
        ({"ip_pool_name": "x"}, "ip_pool_name"),
        ({"send_at": "soon"}, "send_at"),
        ({"from": {"email": "me"}}, "from.email"),
        ({"subject": " "}, "subject"),
        ({"content": []}, "content"),
        ({"content": [{"type": "text/plain", "value": ""}]}, "content.0.value"),
        ({"content": [{"value": "x"}]}, "content.0.type"),
        ({"content": ["x"]}, "content.0.type"),
        ({"content": GOOD["content"][::-1]}, "content"),
        ({"attachments": {}}, "attachments"),
        ({"attachments": [PNG | {"content": "%%"}]}, "attachments.0.content"),
        ({"attachments": [PNG | {"content": "ümlaut"}]}, "attachments.0.content"),
        ({"attachments": [PNG | {"filename": ""}]}, "attachments.0.filename"),
        ({"attachments": [PNG | {"content_id": None}]}, "attachments.0.content_id"),
        ({"categories": ["a", "a"]}, "categories"),
        ({"categories": [str(n) for n in range(11)]}, "categories"),
        ({"categories": "x"}, "categories"),
        ({"headers": {"Subject": "x"}}, "headers.Subject"),
        ({"headers": {"X-N": 1}}, "headers"),
        ({"custom_args": {"n": 1}}, "custom_args"),
    ],
)
def test_what_sendgrid_refuses_is_refused(change: dict[str, Any], field: str) -> None:
    assert field in [problem["field"] for problem in check_mail(GOOD | change)]


def test_what_sendgrid_takes_is_taken() -> None:
    assert check_mail(GOOD) == []
    everywhere = [{"to": [{"email": "a@b.c"}], "subject": "here"}]
    assert check_mail(GOOD | {"subject": None, "personalizations": everywhere}) == []
    assert check_mail(GOOD | {"content": None, "subject": None, "template_id": "d-1"}) == []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=8), children, max_size=3),
    max_leaves=8,
)


@given(
    mail=st.dictionaries(st.sampled_from([*GOOD, "attachments", "headers", "categories", "custom_args"]), JSON) | JSON
)
def test_no_json_makes_the_check_fail(mail: object) -> None:
    assert isinstance(check_mail(mail), list)
    if isinstance(mail, dict):
        assert isinstance(check_mail(GOOD | mail), list)
