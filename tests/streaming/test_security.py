"""Login and TLS against a real broker: what works, and what is told when it does not."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from pydantic import SecretStr

from gridwatch.containers import Store
from gridwatch.containers.catalog import series_info
from gridwatch.errors import MissingServiceError
from gridwatch.settings import KafkaSettings, Settings
from gridwatch.streaming import Broker, Producer, Sink, broker_for, drain
from gridwatch.streaming.broker_files import free_ports
from gridwatch.streaming.clients import admin
from gridwatch.streaming.connect import ConnectWorker

USER, PASSWORD, WRONG = "sink", "open-sesame-41", "shut-sesame-42"
PROTOCOLS = {"LOGIN": "SASL_PLAINTEXT", "TLS": "SSL", "BOTH": "SASL_SSL"}
Make = Callable[..., Settings]


def _certificate(folder: Path) -> tuple[Path, Path]:
    """Write a self-signed certificate for 127.0.0.1; return it, and a keystore with its key, both PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kafka")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    folder.mkdir()
    trusted, store = folder / "ca.pem", folder / "keystore.pem"
    trusted.write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    store.write_bytes(private + pem)
    return trusted, store


def _properties(text: str, ports: dict[str, int], keystore: Path) -> str:
    """Return our own broker's configuration with the guarded listeners added."""
    listeners = "".join(f",{name}://127.0.0.1:{port}" for name, port in ports.items())
    lines = []
    for line in text.splitlines():
        added = ""
        if line.startswith(("listeners=", "advertised.listeners=")):
            added = listeners
        elif line.startswith("listener.security.protocol.map="):
            added = "".join(f",{name}:{protocol}" for name, protocol in PROTOCOLS.items())
        lines.append(line + added)
    plain, scram = (
        f"org.apache.kafka.common.security.{name}LoginModule required" for name in ("plain.Plain", "scram.Scram")
    )
    lines += [
        "listener.name.login.sasl.enabled.mechanisms=PLAIN",
        f'listener.name.login.plain.sasl.jaas.config={plain} user_{USER}="{PASSWORD}";',
        "listener.name.both.sasl.enabled.mechanisms=SCRAM-SHA-512",
        f"listener.name.both.scram-sha-512.sasl.jaas.config={scram};",
    ]
    for name in ("tls", "both"):
        lines += [
            f"listener.name.{name}.ssl.keystore.type=PEM",
            f"listener.name.{name}.ssl.keystore.location={keystore}",
        ]
    return "\n".join(lines) + "\n"


def _add_scram_user(settings: Settings, bootstrap: str) -> None:
    from kafka.admin import ScramMechanism, UserScramCredentialUpsertion

    with admin(settings, bootstrap) as client:
        client.alter_user_scram_credentials(
            [UserScramCredentialUpsertion(USER, ScramMechanism.SCRAM_SHA_512, PASSWORD.encode(), iterations=4096)]
        )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """A broker with a listener for each protocol; gives a function that makes settings for one of them."""
    home = tmp_path_factory.mktemp("guarded")
    trusted, keystore = _certificate(home / "tls")
    own = Settings(home=home)
    broker = Broker(own)
    broker.prepare()
    ports = dict(zip(PROTOCOLS, free_ports(len(PROTOCOLS)), strict=True))
    path = broker.folder / "server.properties"
    path.write_text(_properties(path.read_text(), ports, keystore))

    def make(listener: str, **changes: Any) -> Settings:
        kafka: dict[str, Any] = {
            "bootstrap_servers": f"127.0.0.1:{ports[listener]}",
            "security_protocol": PROTOCOLS[listener],
            "group_id": f"group-{listener}",
        }
        if listener != "TLS":
            mechanism = "PLAIN" if listener == "LOGIN" else "SCRAM-SHA-512"
            kafka |= {"sasl_mechanism": mechanism, "sasl_username": USER, "sasl_password": SecretStr(PASSWORD)}
        if listener != "LOGIN":
            kafka["ssl_cafile"] = trusted
        return Settings(home=home, kafka=KafkaSettings(**kafka | changes))

    argv, environ, folder = broker.command()
    child = subprocess.Popen(argv, env=environ, cwd=folder, start_new_session=True)
    try:
        broker.adopt(child.pid)
        _add_scram_user(own, broker.start())
        yield make
    finally:
        child.terminate()
        child.wait(120)


@pytest.mark.parametrize("listener", PROTOCOLS)
def test_rows_go_through_a_guarded_cluster(
    cluster: Make, listener: str, store: Store, topic: str, bars: Callable[..., pd.DataFrame]
) -> None:
    settings = cluster(listener)
    with broker_for(settings) as bootstrap, Producer(settings, bootstrap) as producer:
        producer.ensure_topics([topic])
        assert producer.send(topic, bars(20), series_info(topic), ingested_ms=time.time_ns() // 1_000_000) == 20
        assert drain(settings, bootstrap, store, [topic], timeout_s=60).rows == 20
    assert store.read(topic).num_rows == 20


LOGIN_REFUSED = rf"Kafka at 127\.0\.0\.1:\d+ refuses the login of '{USER}' by \S+ \(.*GRIDWATCH_KAFKA__SASL_PASSWORD"
NOT_TRUSTED = (
    r"shows a certificate that is not trusted \(self-signed certificate\); trusted are the system's\. Set GRID"
)


@pytest.mark.usefixtures("no_thread_stays")
@pytest.mark.parametrize(
    ("listener", "changes", "message"),
    [
        ("LOGIN", {"sasl_password": SecretStr(WRONG)}, LOGIN_REFUSED),
        ("BOTH", {"sasl_password": SecretStr(WRONG)}, LOGIN_REFUSED),
        ("LOGIN", {"sasl_mechanism": "SCRAM-SHA-256"}, rf"login of '{USER}' by SCRAM-SHA-256 \(.*SASL_MECHANISM right"),
        ("TLS", {"ssl_cafile": None}, NOT_TRUSTED),
        ("BOTH", {"ssl_cafile": None}, NOT_TRUSTED),
    ],
)
def test_what_a_cluster_refuses_is_told_at_once(
    cluster: Make, store: Store, listener: str, changes: dict[str, Any], message: str
) -> None:
    # With kafka-python's own tries, this would take the whole minute.
    settings = cluster(listener, **changes, request_timeout_s=60)
    bootstrap = settings.kafka.bootstrap_servers or ""
    tries: list[Callable[[], object]] = [lambda: Producer(settings, bootstrap)]
    if listener == "TLS":
        tries += [
            lambda: Sink(settings, bootstrap, store, ["t"]).run_until(lambda: True),
            lambda: drain(settings, bootstrap, store, ["t"], timeout_s=1),
            lambda: broker_for(settings).__enter__(),
        ]
    for attempt in tries:
        with pytest.raises(MissingServiceError, match=message) as caught:
            attempt()
        told = f"{caught.value} {caught.value.__cause__}"
        assert PASSWORD not in told
        assert WRONG not in told


@pytest.mark.parametrize(
    ("listener", "changes", "message"),
    [
        ("TLS", {"security_protocol": "PLAINTEXT"}, r"does not answer \(.*GRIDWATCH_KAFKA__SECURITY_PROTOCOL right"),
        (
            "LOGIN",
            {"security_protocol": "SASL_SSL"},
            r"does not answer \(.*Handshake failed: .*SECURITY_PROTOCOL right",
        ),
    ],
)
def test_the_wrong_protocol_is_told(cluster: Make, listener: str, changes: dict[str, Any], message: str) -> None:
    settings = cluster(listener, **changes, request_timeout_s=3)
    with pytest.raises(MissingServiceError, match=message):
        Producer(settings, settings.kafka.bootstrap_servers or "")


def test_a_connect_worker_logs_in_over_tls_and_writes_no_password_down(cluster: Make, tmp_path: Path) -> None:
    settings = cluster("BOTH").model_copy(update={"home": tmp_path})
    worker = ConnectWorker(settings, settings.kafka.bootstrap_servers, plugins=tmp_path)
    try:
        worker.start()
        assert worker.api().names() == []
    finally:
        worker.stop()
    text = (worker.folder / "worker.properties").read_text()
    assert "consumer.security.protocol=SASL_SSL" in text
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path
