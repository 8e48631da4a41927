"""Settings come from the environment and `.env`, are checked at start, and never show a secret."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr
from pydantic_core import PydanticUndefined

from gridwatch.errors import ConfigError
from gridwatch.settings import Settings, load_settings

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def keys(model: type[BaseModel], prefix: str = "GRIDWATCH_") -> Iterator[tuple[str, str, object]]:
    """Yield environment name, description and default of every setting."""
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            yield from keys(kind, f"{prefix}{name.upper()}__")
        else:
            default = None if field.default is PydanticUndefined else field.default
            yield f"{prefix}{name.upper()}", field.description or "", default


def test_defaults_need_no_environment() -> None:
    settings = load_settings()
    assert settings.store == f"sqlite:///{settings.home / 'store.db'}"
    assert settings.tracking_uri == f"sqlite:///{settings.home / 'mlflow.db'}"
    assert settings.server.host == "127.0.0.1"


def test_nested_keys_and_dotenv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GRIDWATCH_SENDGRID__API_KEY=from-file\nGRIDWATCH_SERVER__PORT=1\n")
    monkeypatch.setenv("GRIDWATCH_SERVER__PORT", "2")
    settings = load_settings()
    assert settings.server.port == 2
    assert settings.sendgrid.api_key == SecretStr("from-file")


def test_a_token_of_enough_characters_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    # As a file that a secret was read from ends.
    monkeypatch.setenv("GRIDWATCH_ALERTS__TOKEN", "0123456789abcdef\r\n")
    assert load_settings().alerts.token == SecretStr("0123456789abcdef")


@pytest.mark.parametrize("text", ["", "  "])
def test_a_blank_secret_is_none(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    for name in ("GRIDWATCH_ALERTS__TOKEN", "GRIDWATCH_SENDGRID__API_KEY"):
        monkeypatch.setenv(name, text)
    settings = load_settings()
    assert settings.alerts.token is None
    assert settings.sendgrid.api_key is None


def test_a_webhooks_address_is_kept_as_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    # With the slash and without it are two addresses to many servers; of the others' paths hang below theirs.
    monkeypatch.setenv("GRIDWATCH_ALERTS__WEBHOOK_URL", "https://hook.example/in/")
    monkeypatch.setenv("GRIDWATCH_LINKS__GRAFANA_URL", "https://grafana.example/")
    settings = load_settings()
    assert settings.alerts.webhook_url == "https://hook.example/in/"
    assert settings.links.grafana_url == "https://grafana.example"
    monkeypatch.setenv("GRIDWATCH_ALERTS__WEBHOOK_URL", "https://me:s3cret@hook.example/in/")
    with pytest.raises(ConfigError, match="must not carry a user or password, which pages, mails, logs") as refused:
        load_settings()
    assert "s3cret" not in str(refused.value)


def test_secrets_are_never_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _, _ in keys(Settings):
        if name.endswith(("KEY", "PASSWORD", "TOKEN")):
            monkeypatch.setenv(name, "hunter2-secret-of-many")
    settings = load_settings()
    assert "hunter2-secret-of-many" not in repr(settings)
    assert "hunter2-secret-of-many" not in settings.model_dump_json()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("GRIDWATCH_SERVER__PORT", "70000", r"GRIDWATCH_SERVER__PORT: .*less than or equal to 65535"),
        ("GRIDWATCH_SENDGRID__ATTEMPTS", "many", r"GRIDWATCH_SENDGRID__ATTEMPTS: .*valid integer"),
        ("GRIDWATCH_LOG_LEVEL", "LOUD", r"GRIDWATCH_LOG_LEVEL: .*'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
        ("GRIDWATCH_KAFKA__NO_SUCH", "1", r"GRIDWATCH_KAFKA__NO_SUCH is no setting"),
        (
            "GRIDWATCH_ALERTS__RECIPIENTS",
            "hunter2@b.c",
            r"^GRIDWATCH_ALERTS__RECIPIENTS is no JSON list; write it as \[",
        ),
        ("GRIDWATCH_SERVER__ALLOWED_HOSTS", '"hunter2"', r"^GRIDWATCH_SERVER__ALLOWED_HOSTS is no JSON list"),
        (
            "GRIDWATCH_STORE_URL",
            "griddb://admin:hunter2@db:10001/c/d",
            r"GRIDWATCH_STORE_URL: .*set GRIDWATCH_GRIDDB__USER and GRIDWATCH_GRIDDB__PASSWORD",
        ),
        *(
            (name, "https://me:hunter2@h.example/x", rf"{name}: .*must not carry a user or password")
            for name in (
                "GRIDWATCH_ALERTS__HANDLER_URL",
                "GRIDWATCH_ALERTS__PUBLIC_URL",
                "GRIDWATCH_ALERTS__WEBHOOK_URL",
                "GRIDWATCH_SENDGRID__BASE_URL",
            )
        ),
        ("GRIDWATCH_ALERTS__HANDLER_URL", "hunter2:8090", r"HANDLER_URL: .*must be an address such as http://"),
        *(
            (name, "hunter2 of 15  ", rf"{name}: must have at least 16 characters, .*`openssl rand -hex 16`")
            for name in ("GRIDWATCH_ALERTS__TOKEN", "GRIDWATCH_ALERTS__HMAC_SECRET")
        ),
    ],
)
def test_a_wrong_value_names_the_key_and_hides_the_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=message) as caught:
        load_settings()
    assert "hunter2" not in str(caught.value)


def test_two_wrong_values_are_told_once_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDWATCH_SERVER__PORT", "70000")
    monkeypatch.setenv("GRIDWATCH_LOG_LEVEL", "LOUD")
    with pytest.raises(
        ConfigError, match=r"^Wrong setting: GRIDWATCH_LOG_LEVEL: .*; GRIDWATCH_SERVER__PORT: "
    ) as caught:
        load_settings()
    assert str(caught.value).count("GRIDWATCH_") == 2


@pytest.mark.parametrize(
    ("name", "meant"),
    [("GRIDWATCH_STOER_URL", "GRIDWATCH_STORE_URL"), ("GRIDWATCH_KAFAK__GROUP_ID", "GRIDWATCH_KAFKA__GROUP_ID")],
)
@pytest.mark.parametrize("in_file", [False, True], ids=["environment", ".env"])
def test_a_misspelt_key_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, meant: str, in_file: bool
) -> None:
    if in_file:
        (tmp_path / ".env").write_text(f"OTHER=1\n{name}=x\n")
    else:
        monkeypatch.setenv(name, "x")
    with pytest.raises(ConfigError, match=rf"^{name} is no setting; did you mean {meant}\? See docs/settings\.md\.$"):
        load_settings()


def test_a_key_like_none_of_ours_gets_no_guess(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRIDWATCH_4711081547110815", "x")
    with pytest.raises(ConfigError, match=r"^GRIDWATCH_4711081547110815 is no setting\. See docs/settings\.md\.$"):
        load_settings()


def test_a_dotenv_in_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"GRIDWATCH_HOME=\xe9\n")
    with pytest.raises(ConfigError, match=r"^The file \.env is not UTF-8 from byte 15 on; save it as UTF-8\.$"):
        load_settings()


@pytest.mark.parametrize("key", list(keys(Settings)), ids=lambda key: key[0])
def test_every_setting_is_documented(key: tuple[str, str, object]) -> None:
    name, description, default = key
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    row = next((line for line in page.splitlines() if line.startswith(f"| `{name}` |")), "")
    assert description
    assert description in row
    if default not in (None, ""):
        assert f"`{default}`" in row
