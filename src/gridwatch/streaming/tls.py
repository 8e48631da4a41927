"""TLS to a Kafka cluster: whom to trust."""

from __future__ import annotations

import ssl
from pathlib import Path

from gridwatch.errors import ConfigError

__all__ = ["tls_context"]


class _Socket(ssl.SSLSocket):
    """Closes itself when the handshake fails; kafka-python leaves that to the garbage collector."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError:
            self.close()
            raise


def tls_context(cafile: Path | None) -> ssl.SSLContext:
    """Return a context that checks certificate and host name, for TLS 1.2 or newer.

    Args:
        cafile: CA certificates to trust, PEM; None: the system's.

    Raises:
        ConfigError: The file is missing or holds no certificates.
    """
    if cafile is not None and not cafile.is_file():
        raise ConfigError(f"GRIDWATCH_KAFKA__SSL_CAFILE {str(cafile)!r} is no file.")
    # Not create_default_context: since Python 3.13 that refuses certificates that many companies' own CAs give.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if cafile is None:
        context.load_default_certs()
    else:
        try:
            context.load_verify_locations(cafile)
        except OSError as error:
            raise ConfigError(
                f"GRIDWATCH_KAFKA__SSL_CAFILE {str(cafile)!r} holds no certificates in PEM ({error})."
            ) from error
    context.sslsocket_class = _Socket
    return context
