"""Why a Kafka cluster could not be reached: kafka-python tells its log only, and tries on until the time is over.

Imports kafka-python, so import it only where a client is made.
"""

from __future__ import annotations

import ssl
from typing import Any

from kafka.errors import IllegalSaslStateError, SaslAuthenticationFailedError, UnsupportedSaslMechanismError
from kafka.net.compat import KafkaNetClient
from kafka.net.manager import KafkaConnectionManager
from typing_extensions import override

from gridwatch.streaming.sockets import DIRECT, ClosingSelector

__all__ = ["LOGIN_REFUSED", "FirstContact", "certificate_error", "client"]

LOGIN_REFUSED = (IllegalSaslStateError, SaslAuthenticationFailedError, UnsupportedSaslMechanismError)


def certificate_error(error: BaseException | None) -> ssl.SSLCertVerificationError | None:
    """Return what is wrong with the certificate if that is why a handshake failed; kafka-python wraps it."""
    cause = error.__context__ if error is not None else None
    return cause if isinstance(cause, ssl.SSLCertVerificationError) else None


class FirstContact(KafkaConnectionManager):  # type: ignore[misc] # kafka-python has no types
    """Keeps the reason of the last failure, and gives up at once where another try cannot help.

    That holds until the first connection is there. Later on, a login that is refused may be a cluster that is being
    changed under way, which is waited for.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.failure: BaseException | None = None
        self._met = False

    @override
    def get_connection(self, *args: Any, **options: Any) -> Any:
        """Return a connection, which may still be under way.

        Raises:
            KafkaError: The last one was refused for a reason that stays.
        """
        failure = None if self._met else self.failure
        if failure is not None and (isinstance(failure, LOGIN_REFUSED) or certificate_error(failure)):
            raise failure
        connection = super().get_connection(*args, **options)
        if not self._met:
            connection.init_future.add_callback(self._on_success)
            connection.init_future.add_errback(self._on_failure)
        return connection

    @override
    async def _build_transport(self, *args: Any, **options: Any) -> Any:
        transport = await super()._build_transport(*args, **options)
        receive = transport._sock_recv

        def words_first() -> tuple[bytes, Exception | None]:
            # A broker closes the connection behind its refusal. Where both come at once, kafka-python would drop the
            # refusal and report the end; the end is still there at the next look.
            data, error = receive()
            return data, None if data else error

        transport._sock_recv = words_first
        return transport

    def _on_success(self, _: Any) -> None:
        self._met = True
        self.failure = None

    def _on_failure(self, error: BaseException) -> None:
        self.failure = error


def client(**options: Any) -> tuple[KafkaNetClient, FirstContact]:
    """Return a network client for kafka-python's `kafka_client` option, and what knows why it fails."""
    options["proxy_url"] = DIRECT
    net = ClosingSelector(**options)
    manager = FirstContact(net, **options)
    return KafkaNetClient(net=net, manager=manager, **options), manager
