"""The local SendGrid over HTTP, through the sendgrid library, and the pages that show its mails."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any

import pytest
import requests
from python_http_client.exceptions import BadRequestsError, UnauthorizedError

from gridwatch.server.inbox import MAIL_MAX
from gridwatch.settings import Settings

EVIL = "<script>document.title='evil'</script><form action=https://evil.example><img src=https://evil.example/x>"
MAIL: dict[str, Any] = {
    "personalizations": [{"to": [{"email": "you@example.com"}]}],
    "from": {"email": "me@example.com"},
    "subject": "Look <b>here</b>",
    "content": [
        {"type": "text/plain", "value": "plain <i>text</i>"},
        {"type": "text/html", "value": f"{EVIL}<img src='cid:plot'>"},
    ],
    "attachments": [
        {
            "content": b64encode(b"png").decode(),
            "type": "image/png",
            "filename": "plot.png",
            "disposition": "inline",
            "content_id": "plot",
        }
    ],
    "custom_args": {"gridwatch_key": "k:email"},
}
BEARER = {"Authorization": "Bearer x"}


@pytest.fixture
def client(app: Any) -> Any:
    return app.test_client()


def test_the_sendgrid_library_works_with_it(serving: Callable[..., str], settings: Settings) -> None:
    from sendgrid import SendGridAPIClient
    from sendgrid.helpers.mail import Mail

    url = serving(settings)
    api = SendGridAPIClient("any", host=url)
    mail = Mail("me@example.com", "you@example.com", "Hello", "text", "<b>html</b>")
    answer = api.send(mail)
    assert (answer.status_code, answer.body) == (202, b"")
    listed = requests.get(f"{url}/inbox.json", timeout=120).json()
    assert [(row["id"], row["subject"], row["to"]) for row in listed] == [
        (answer.headers["X-Message-Id"], "Hello", ["you@example.com"])
    ]
    with pytest.raises(BadRequestsError) as caught:
        api.send({"subject": "nothing else"})
    errors = caught.value.to_dict["errors"]
    assert [error["field"] for error in errors] == ["personalizations", "from.email", "content"]
    assert all(set(error) == {"message", "field", "help"} for error in errors)
    api.client.request_headers["Authorization"] = "Basic x"
    with pytest.raises(UnauthorizedError, match="401"):
        api.send(mail)


@pytest.mark.parametrize(
    ("how", "code", "message"),
    [
        ({"json": MAIL}, 401, "The authorization header needs a Bearer API key."),
        ({"data": "x", "headers": BEARER}, 415, "The Content-Type must be application/json."),
        ({"data": "{", "headers": BEARER, "content_type": "application/json"}, 400, "The body is no JSON."),
        ({"data": "[" * 99_999, "headers": BEARER, "content_type": "application/json"}, 400, "The body is no JSON."),
        ({"json": [], "headers": BEARER}, 400, "The body must be a JSON object."),
        ({"json": MAIL | {"subject": ""}, "headers": BEARER}, 400, "The subject is required"),
    ],
)
def test_refusals_have_sendgrids_shape(client: Any, how: dict[str, Any], code: int, message: str) -> None:
    answer = client.post("/v3/mail/send", **how)
    assert answer.status_code == code
    assert answer.json["errors"][0]["message"].startswith(message)


def test_a_mail_beyond_sendgrids_limit_is_refused(client: Any) -> None:
    answer = client.post("/v3/mail/send", headers=BEARER, content_type="application/json", data=b" " * (MAIL_MAX + 1))
    assert answer.status_code == 413


@pytest.mark.parametrize("sandbox", [{"sandbox_mode": {"enable": True}}])
def test_the_sandbox_keeps_nothing(client: Any, sandbox: dict[str, Any]) -> None:
    answer = client.post("/v3/mail/send", json=MAIL | {"mail_settings": sandbox}, headers=BEARER)
    assert answer.status_code == 200
    assert client.get("/inbox.json").json == []


@pytest.mark.parametrize("odd", [7, [], {"sandbox_mode": 7}, {"sandbox_mode": {"enable": "yes"}}])
def test_odd_mail_settings_do_no_harm(client: Any, odd: object) -> None:
    assert client.post("/v3/mail/send", json=MAIL | {"mail_settings": odd}, headers=BEARER).status_code in {202, 400}


@pytest.mark.parametrize(
    ("odd", "message"),
    [
        ({"personalizations": [{"to": [{"email": "a@example.com"}], "custom_args": "x"}]}, "The custom_args must be"),
        ({"template_id": "t", "content": "text"}, "The content must be an array."),
        ({"subject": "\ud800"}, "The body holds text that is not Unicode."),
        ({"categories": ["\udc00"]}, "The body holds text that is not Unicode."),
    ],
)
def test_a_mail_that_no_page_could_show_is_refused(client: Any, odd: dict[str, Any], message: str) -> None:
    data = json.dumps(MAIL | odd)
    answer = client.post("/v3/mail/send", data=data, content_type="application/json", headers=BEARER)
    assert answer.status_code == 400
    assert answer.json["errors"][0]["message"].startswith(message)
    assert client.get("/inbox").status_code == 200
    assert client.get("/inbox.json").json == []


def test_a_mail_of_a_template_has_a_page(client: Any) -> None:
    mail = MAIL | {"template_id": "d-1", "content": None}
    name = client.post("/v3/mail/send", json=mail, headers=BEARER).headers["X-Message-Id"]
    assert client.get(f"/inbox/{name}").status_code == 200
    assert client.get(f"/inbox/{name}/html").status_code == 200


def test_a_folder_that_cannot_be_written_is_a_500(client: Any, settings: Settings) -> None:
    (settings.home / "inbox").write_text("a file")
    answer = client.post("/v3/mail/send", json=MAIL, headers=BEARER)
    assert answer.status_code == 500
    assert "Cannot keep a mail" in answer.json["errors"][0]["message"]


def test_pages_show_mails_and_run_nothing_of_theirs(client: Any) -> None:
    assert "Nothing yet" in client.get("/inbox").text
    name = client.post("/v3/mail/send", json=MAIL, headers=BEARER).headers["X-Message-Id"]

    listing = client.get("/inbox")
    assert "Look &lt;b&gt;here&lt;/b&gt;" in listing.text
    assert "default-src 'none'" in listing.headers["Content-Security-Policy"]

    page = client.get(f"/inbox/{name}")
    assert "plain &lt;i&gt;text&lt;/i&gt;" in page.text
    # The shell's own are files of ours; the policy lets nothing else run.
    assert re.findall(r'<script(?! type="module" src="/static/)', page.text) == []
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page.text

    html = client.get(f"/inbox/{name}/html")
    assert "data:image/png;base64,cG5n" in html.text
    policy = html.headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "img-src data:", "form-action 'none'", "sandbox allow-popups"):
        assert rule in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert html.headers["X-Content-Type-Options"] == "nosniff"

    whole = client.get(f"/inbox/{name}.json").json
    assert whole["request"] == MAIL
    assert whole["custom_args"] == {"gridwatch_key": "k:email"}


@pytest.mark.parametrize("path", ["/inbox/x", "/inbox/x/html", "/inbox/x.json", "/inbox/..%2fstore", "/nothing"])
def test_what_is_not_there_is_a_404(client: Any, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert answer.json["status"] == "error"


def test_pages_need_nothing_from_elsewhere(client: Any) -> None:
    client.post("/v3/mail/send", json=MAIL, headers=BEARER)
    page = client.get("/inbox").text
    assert "http" not in page.replace("http://www.w3.org", "")
    with client.get("/static/gridwatch.css") as style:
        assert style.status_code == 200
        assert "prefers-color-scheme: dark" in style.text
        assert "url(" not in style.text
