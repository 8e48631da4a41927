"""The clients that carry records: librdkafka's, which do in C what costs kafka-python most of its time.

kafka-python still makes the first contact, since it can tell why a cluster is not to be reached, and administers.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from gridwatch.streaming.clients import admin, client_config

if TYPE_CHECKING:
    import confluent_kafka

    from gridwatch.settings import Settings

__all__ = ["fast_config", "fast_consumer", "fast_producer"]

# Below kafka-python's own, so that one setting rules what both tell of each failed try.
_LOG = logging.getLogger("kafka.librdkafka")


def fast_config(settings: Settings, bootstrap: str) -> dict[str, Any]:
    """Return the configuration that every librdkafka client of ours shares. It holds the password: never log it.

    Raises:
        ConfigError: As `client_config`, from which it follows.
    """
    known = client_config(settings, bootstrap)
    config: dict[str, Any] = {
        "bootstrap.servers": ",".join(known["bootstrap_servers"]),
        "client.id": known["client_id"],
        "security.protocol": known["security_protocol"],
        "socket.timeout.ms": max(10, known["request_timeout_ms"]),
        "reconnect.backoff.max.ms": known["reconnect_backoff_max_ms"],
        "logger": _LOG,
    }
    if "sasl_mechanism" in known:
        config |= {
            "sasl.mechanism": known["sasl_mechanism"],
            "sasl.username": known["sasl_plain_username"],
            "sasl.password": known["sasl_plain_password"],
        }
    if "ssl_context" in known and settings.kafka.ssl_cafile is not None:
        config["ssl.ca.location"] = str(settings.kafka.ssl_cafile)
    return config


def fast_consumer(settings: Settings, bootstrap: str, **options: Any) -> confluent_kafka.Consumer:
    """Return a consumer of the settings' group.

    Args:
        settings: Login, group and time limits.
        bootstrap: `host:port,...` of the cluster.
        **options: What this one wants beyond `fast_config`, `_` for each dot except in callbacks.

    Raises:
        MissingServiceError: The cluster does not answer, or refuses the login; names the address.
    """
    from confluent_kafka import Consumer

    config = _contacted(settings, bootstrap) | {"group.id": settings.kafka.group_id}
    return Consumer(config | _dotted(options))


def fast_producer(settings: Settings, bootstrap: str, **options: Any) -> confluent_kafka.Producer:
    """Return a producer; see `fast_consumer`."""
    from confluent_kafka import Producer

    return Producer(_contacted(settings, bootstrap) | _dotted(options))


def _contacted(settings: Settings, bootstrap: str) -> dict[str, Any]:
    with admin(settings, bootstrap):
        return fast_config(settings, bootstrap)


def _dotted(options: dict[str, Any]) -> dict[str, Any]:
    return {name if name.endswith("_cb") else name.replace("_", "."): value for name, value in options.items()}
