"""From settings to Kafka clients: one place for addresses, login and TLS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gridwatch.errors import ConfigError, MissingServiceError, StreamError
from gridwatch.streaming.tls import tls_context

if TYPE_CHECKING:
    from gridwatch.settings import Settings

__all__ = ["admin", "client_config", "connect"]


def client_config(settings: Settings, bootstrap: str) -> dict[str, Any]:
    """Return the configuration that every kafka-python client of ours shares. It holds the password: never log it.

    Raises:
        ConfigError: A SASL protocol without user, password or mechanism, or the other way round, or a wrong CA file.
    """
    kafka = settings.kafka
    config: dict[str, Any] = {
        "bootstrap_servers": [server.strip() for server in bootstrap.split(",") if server.strip()],
        "client_id": "gridwatch",
        "security_protocol": kafka.security_protocol,
        "request_timeout_ms": int(kafka.request_timeout_s * 1000),
        "bootstrap_timeout_ms": int(kafka.request_timeout_s * 1000),
        # Local brokers come back in seconds; kafka-python's default is to back off up to half a minute.
        "reconnect_backoff_max_ms": 2000,
    }
    if not kafka.bootstrap_servers:
        # gridwatch's own broker listens on loopback in plain text, whatever the settings say for a cluster.
        return config | {"security_protocol": "PLAINTEXT"}
    if kafka.security_protocol in {"SSL", "SASL_SSL"}:
        config["ssl_context"] = tls_context(kafka.ssl_cafile)
    if kafka.security_protocol.startswith("SASL_"):
        missing = [
            f"GRIDWATCH_KAFKA__{name.upper()}"
            for name in ("sasl_mechanism", "sasl_username", "sasl_password")
            if getattr(kafka, name) is None
        ]
        if missing or kafka.sasl_password is None:
            raise ConfigError(f"Kafka's {kafka.security_protocol} needs {' and '.join(missing)}.")
        config |= {
            "sasl_mechanism": kafka.sasl_mechanism,
            "sasl_plain_username": kafka.sasl_username,
            "sasl_plain_password": kafka.sasl_password.get_secret_value(),
        }
    elif kafka.sasl_mechanism is not None:
        raise ConfigError(
            f"GRIDWATCH_KAFKA__SASL_MECHANISM is {kafka.sasl_mechanism}, but the security protocol is "
            f"{kafka.security_protocol}; set GRIDWATCH_KAFKA__SECURITY_PROTOCOL to SASL_SSL or SASL_PLAINTEXT."
        )
    return config


def connect(kind: Callable[..., Any], settings: Settings, bootstrap: str, **options: Any) -> Any:
    """Return a kafka-python client of this class, connected.

    Args:
        kind: `KafkaAdminClient`, `KafkaProducer` or `KafkaConsumer`.
        settings: Login and time limits.
        bootstrap: `host:port,...` of the cluster.
        **options: What this client wants beyond `client_config`, or instead of it.

    Raises:
        MissingServiceError: The cluster does not answer, or refuses the login; names the address.
    """
    from kafka.errors import KafkaError

    from gridwatch.streaming.first_contact import client

    made: list[Any] = []

    def remembered(**rest: Any) -> Any:
        made.append(client(**rest))
        return made[-1][0]

    try:
        return kind(**client_config(settings, bootstrap) | options, kafka_client=remembered)
    except KafkaError as error:
        # A constructor that fails leaves its thread and sockets behind, with nobody to close them.
        for net, _ in made:
            net.close()
        reason = next((contact.failure for _, contact in made if contact.failure is not None), error)
        raise _missing(settings, bootstrap, reason) from error


def _missing(settings: Settings, bootstrap: str, error: BaseException) -> MissingServiceError:
    from gridwatch.streaming.first_contact import LOGIN_REFUSED, certificate_error

    kafka, certificate = settings.kafka, certificate_error(error)
    if isinstance(error, LOGIN_REFUSED):
        told = (
            f"refuses the login of {kafka.sasl_username!r} by {kafka.sasl_mechanism} ({error}); are "
            "GRIDWATCH_KAFKA__SASL_USERNAME, GRIDWATCH_KAFKA__SASL_PASSWORD and GRIDWATCH_KAFKA__SASL_MECHANISM right?"
        )
    elif certificate is not None:
        trusted = "the system's" if kafka.ssl_cafile is None else f"those in {str(kafka.ssl_cafile)!r}"
        told = (
            f"shows a certificate that is not trusted ({certificate.verify_message}); trusted are {trusted}. Set "
            "GRIDWATCH_KAFKA__SSL_CAFILE to a file with the certificate of its CA, and name the servers as it does."
        )
    else:
        login = ", its login" if kafka.bootstrap_servers and kafka.security_protocol.startswith("SASL_") else ""
        told = (
            f"does not answer ({error}); is it running, and are GRIDWATCH_KAFKA__BOOTSTRAP_SERVERS{login} and "
            "GRIDWATCH_KAFKA__SECURITY_PROTOCOL right?"
        )
    return MissingServiceError(f"Kafka at {bootstrap} {told}", bootstrap=bootstrap)


@contextmanager
def admin(settings: Settings, bootstrap: str, *, timeout_s: float | None = None) -> Iterator[Any]:
    """Give a `kafka.KafkaAdminClient` that is closed afterwards.

    Args:
        settings: Login and time limits.
        bootstrap: `host:port,...` of the cluster.
        timeout_s: Longest wait for the cluster; by default that of the settings.

    Raises:
        MissingServiceError: The cluster does not answer; names the address.
        StreamError: It answers an error.
    """
    from kafka import KafkaAdminClient
    from kafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, NodeNotReadyError

    limit_ms = int((timeout_s if timeout_s is not None else settings.kafka.request_timeout_s) * 1000)
    limits = {"request_timeout_ms": limit_ms, "bootstrap_timeout_ms": limit_ms}
    client = connect(KafkaAdminClient, settings, bootstrap, **limits)
    try:
        yield client
    except (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError) as error:
        raise _missing(settings, bootstrap, error) from error
    except KafkaError as error:
        raise StreamError(f"Kafka at {bootstrap} answered {error}.") from error
    finally:
        client.close()
