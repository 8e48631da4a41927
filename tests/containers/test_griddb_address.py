"""How `griddb://` URLs are read, and what GridDB's two Java clients are told."""

from __future__ import annotations

import socket
import time

import pytest

from gridwatch.containers import open_store
from gridwatch.containers.griddb_address import Cluster
from gridwatch.errors import ConfigError, StoreError
from gridwatch.settings import GridDBSettings, Settings

BASE = {"clusterName": "c", "database": "db"}


@pytest.mark.parametrize(
    ("url", "native", "sql_url", "sql"),
    [
        (
            "griddb://h1:10001,h2:10002/c/db",
            {"notificationMember": "h1:10001,h2:10002"},
            "jdbc:gs:///c/db",
            {"notificationMember": "h1:20001,h2:20001"},
        ),
        (
            "griddb://h1/c/db?sql=h1:20003,h2",
            {"notificationMember": "h1:10001"},
            "jdbc:gs:///c/db",
            {"notificationMember": "h1:20003,h2:20001"},
        ),
        (
            "griddb://239.0.0.1/c/db?interface=10.0.0.5",
            {
                "notificationAddress": "239.0.0.1",
                "notificationPort": "31999",
                "notificationInterfaceAddress": "10.0.0.5",
            },
            "jdbc:gs://239.0.0.1:41999/c/db",
            {"notificationInterfaceAddress": "10.0.0.5"},
        ),
        (
            "griddb://239.0.0.1:31000/c/db?sql=239.0.0.2:41000",
            {"notificationAddress": "239.0.0.1", "notificationPort": "31000"},
            "jdbc:gs://239.0.0.2:41000/c/db",
            {},
        ),
        (
            "griddb:///c/db?provider=https%3A%2F%2Fp.example%2Fmembers.json&route=PUBLIC",
            {"notificationProvider": "https://p.example/members.json", "connectionRoute": "PUBLIC"},
            "jdbc:gs:///c/db",
            {"notificationProvider": "https://p.example/members.json", "connectionRoute": "PUBLIC"},
        ),
    ],
    ids=["fixed list", "its SQL members", "multicast", "multicast ports", "provider"],
)
def test_addressing(url: str, native: dict[str, str], sql_url: str, sql: dict[str, str]) -> None:
    cluster = Cluster.from_url(url)
    assert cluster.native_properties() == BASE | native
    assert cluster.sql_url() == sql_url
    assert cluster.sql_properties() == BASE | sql


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("griddb://h1:10001,h2/c/db", "h1:10001,h2:10001"),
        ("griddb://239.0.0.1/c/db", "239.0.0.1:31999"),
        ("griddb:///c/db?provider=http://p:8080/m?key=s3cret", "provider http://p/m"),
    ],
)
def test_the_place_for_messages(url: str, place: str) -> None:
    assert Cluster.from_url(url).place == place


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("griddb://h:10001/c", r"'griddb://h:10001/c' is wrong: use griddb://host:port,host:port/cluster/database"),
        ("griddb://h:10001/c/db/more", "use griddb://"),
        ("griddb://h:10001/c c/db", "use griddb://"),
        ("griddb:///c/db", r"it names no host; use griddb://.*provider="),
        ("griddb://h:x/c/db", r"'h:x' is no host:port"),
        ("griddb://h:0/c/db", r"'h:0' is no host:port"),
        ("griddb://h:65536/c/db", "is no host:port"),
        ("griddb://:10001/c/db", "is no host:port"),
        ("griddb://[::1]:10001/c/db", "takes IPv4 addresses and host names"),
        ("griddb://h/c/db?sql=h:y", "'h:y' is no host:port"),
        ("griddb://h/c/db?port=5", "option 'port' is unknown, repeated or empty; there are sql, provider"),
        ("griddb://h/c/db?sql=h&sql=h", "option 'sql' is unknown, repeated"),
        ("griddb://h/c/db?route=PRIVATE", "the only route is PUBLIC"),
        ("griddb://h/c/db#x", "fragment"),
        ("griddb://h/c/db?provider=http://p/m", "with a provider it must name no host"),
        ("griddb://239.0.0.1,h/c/db", "a multicast address stands alone"),
        ("griddb://h:10001,h:10002/c/db", r"several nodes are on one host.*\?sql="),
    ],
)
def test_urls_that_are_wrong(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Cluster.from_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "griddb://admin:s3cret@h:10001/c/db",
        "griddb://h/c/db?password=s3cret",
        "griddb:///c/db?provider=http://admin:s3cret@p/m",
    ],
)
def test_a_password_in_the_url_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(ConfigError, match="carries a user or password") as caught:
        open_store(url, settings=Settings())
    assert "s3cret" not in str(caught.value)


def test_the_login_is_the_environments_unless_settings_are_given(
    monkeypatch: pytest.MonkeyPatch, closed_port: int
) -> None:
    monkeypatch.setenv("GRIDWATCH_GRIDDB__PASSWORD", "p")
    with pytest.raises(StoreError, match="does not answer"):
        open_store(f"griddb://127.0.0.1:{closed_port}/c/db")


def test_no_password_is_told() -> None:
    settings = Settings(griddb=GridDBSettings(user="admin", password=None))
    with pytest.raises(ConfigError, match="wants a password; set GRIDWATCH_GRIDDB__PASSWORD"):
        open_store("griddb://h/c/db", settings=settings)


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def test_a_cluster_that_is_away_is_told_at_once(closed_port: int) -> None:
    settings = Settings.model_validate({"griddb": {"password": "p"}})
    began = time.monotonic()
    with pytest.raises(
        StoreError,
        match=rf"cluster 'c' does not answer, transaction service: 127\.0\.0\.1:{closed_port} \(Connection refused\)",
    ):
        open_store(f"griddb://127.0.0.1:{closed_port}/c/db", settings=settings)
    # GridDB's own client would try for two minutes.
    assert time.monotonic() - began < 60


def test_an_sql_service_that_is_away_is_told_with_the_option(closed_port: int) -> None:
    settings = Settings.model_validate({"griddb": {"password": "p"}})
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        with pytest.raises(StoreError, match=rf"SQL service: 127\.0\.0\.1:{closed_port} .*given as \?sql=host:port"):
            open_store(f"griddb://127.0.0.1:{port}/c/db?sql=127.0.0.1:{closed_port}", settings=settings)
