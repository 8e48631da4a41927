"""From settings to client configuration; secrets stay out of messages."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from gridwatch.errors import ConfigError, MissingServiceError
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.streaming import Producer, Sink, broker_for
from gridwatch.streaming.clients import admin, client_config
from gridwatch.streaming.fast_clients import fast_config


def _settings(tmp_path: Path, **kafka: Any) -> Settings:
    return Settings(home=tmp_path, kafka=KafkaSettings(**{"bootstrap_servers": "k1:9093, k2:9093"} | kafka))


def test_a_cluster_with_login_and_tls(tmp_path: Path) -> None:
    import certifi

    settings = _settings(
        tmp_path,
        security_protocol="SASL_SSL",
        sasl_mechanism="SCRAM-SHA-512",
        sasl_username="sink",
        sasl_password=SecretStr("geheim"),
        ssl_cafile=Path(certifi.where()),
    )
    config = client_config(settings, settings.kafka.bootstrap_servers or "")
    assert config["bootstrap_servers"] == ["k1:9093", "k2:9093"]
    assert (config["security_protocol"], config["sasl_mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (config["sasl_plain_username"], config["sasl_plain_password"]) == ("sink", "geheim")
    context = config["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert context.cert_store_stats()["x509_ca"] > 0
    fast = fast_config(settings, settings.kafka.bootstrap_servers or "")
    assert fast["bootstrap.servers"] == "k1:9093,k2:9093"
    assert (fast["security.protocol"], fast["sasl.mechanism"]) == ("SASL_SSL", "SCRAM-SHA-512")
    assert (fast["sasl.username"], fast["sasl.password"]) == ("sink", "geheim")
    assert (fast["ssl.ca.location"], fast["socket.timeout.ms"]) == (certifi.where(), 30_000)


def test_our_own_broker_is_plain_loopback_whatever_is_set_for_a_cluster(tmp_path: Path) -> None:
    settings = _settings(tmp_path, bootstrap_servers=None, security_protocol="SASL_SSL")
    assert client_config(settings, "127.0.0.1:1")["security_protocol"] == "PLAINTEXT"


@pytest.mark.parametrize(
    ("kafka", "message"),
    [
        (
            {"security_protocol": "SASL_SSL", "sasl_password": SecretStr("geheim")},
            "SASL_SSL needs GRIDWATCH_KAFKA__SASL_MECHANISM and GRIDWATCH_KAFKA__SASL_USERNAME",
        ),
        ({"sasl_mechanism": "PLAIN"}, "SASL_MECHANISM is PLAIN, but the security protocol is PLAINTEXT"),
        ({"security_protocol": "SSL", "ssl_cafile": Path("/no/ca.pem")}, "SSL_CAFILE '/no/ca.pem' is no file"),
        ({"security_protocol": "SSL", "ssl_cafile": Path(__file__)}, r"SSL_CAFILE .*py' holds no certificates in PEM"),
    ],
)
def test_half_a_login_is_refused(tmp_path: Path, kafka: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        client_config(_settings(tmp_path, **kafka), "k:1")
    assert "geheim" not in str(caught.value)


def test_a_cluster_that_does_not_answer_is_named(tmp_path: Path, store: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        nobody = f"127.0.0.1:{probe.getsockname()[1]}"
        settings = _settings(tmp_path, bootstrap_servers=nobody, request_timeout_s=0.5)
        message = rf"Kafka at {nobody} does not answer"
        with pytest.raises(MissingServiceError, match=message), broker_for(settings):
            pass
        with pytest.raises(MissingServiceError, match=message), admin(settings, nobody):
            pass
        with pytest.raises(MissingServiceError, match=message):
            Producer(settings, nobody)
        with pytest.raises(MissingServiceError, match=message):
            Sink(settings, nobody, store, ["t"]).run_until(lambda: True)


def test_a_sink_wants_topics_or_a_pattern(tmp_path: Path, store: Any) -> None:
    with pytest.raises(ConfigError, match="wants topics or a pattern"):
        Sink(_settings(tmp_path), "k:1", store)


def test_a_pattern_that_is_none_is_told(tmp_path: Path, store: Any) -> None:
    with pytest.raises(ConfigError, match=r"pattern 'INTRADAY_\(' is no regular expression: missing \)"):
        Sink(_settings(tmp_path), "k:1", store, pattern="INTRADAY_(")


@pytest.mark.usefixtures("no_thread_stays")
def test_a_cluster_that_listens_but_is_silent_leaves_no_thread_behind(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        nobody = f"127.0.0.1:{silent.getsockname()[1]}"
        settings = _settings(tmp_path, bootstrap_servers=nobody, request_timeout_s=0.3)
        with pytest.raises(MissingServiceError, match=rf"Kafka at {nobody} does not answer"):
            Producer(settings, nobody)
        with pytest.raises(MissingServiceError, match=rf"Kafka at {nobody} does not answer"), admin(settings, nobody):
            pass
