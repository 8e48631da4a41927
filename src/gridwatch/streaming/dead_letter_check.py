"""Whether a record would be a row now: asked before it is sent again."""

from __future__ import annotations

from gridwatch.containers import ContainerInfo, Store
from gridwatch.containers._arrow import coerce
from gridwatch.errors import SchemaError, ValueRefusedError
from gridwatch.streaming.decode import Decoder, parse_record
from gridwatch.streaming.envelope import container_of
from gridwatch.streaming.times import TimeFormat
from gridwatch.streaming.values import RecordError

__all__ = ["Acceptance"]


class Acceptance:
    """Holds records against the containers as they are now, and writes nothing.

    Args:
        store: Where the containers are.
        times: How the sink reads times that come as text.
        container: The container of all records; None: that of the topic's name.
    """

    def __init__(self, store: Store, times: TimeFormat | None = None, container: str | None = None) -> None:
        self._store = store
        self._times = times
        self._container = container
        self._decoders: dict[str, Decoder | None] = {}

    def refusal(self, topic: str, value: bytes | None) -> str | None:
        """Return why a record of this topic would be a dead letter again, or None when it would be a row.

        Raises:
            StoreError: The store does not answer.
        """
        name = self._container or topic
        if name not in self._decoders:
            info = self._store.container(name)
            self._decoders[name] = Decoder(info, self._times) if info is not None else None
        try:
            decoder = self._decoders[name] or Decoder(_made_from(name, value), self._times)
            decoded = decoder.decode([value])
            if decoded.rejected:
                return decoded.rejected[0][1]
            # What only the store refuses, such as text that is too long.
            coerce(decoder.info, decoded.table)
        except (RecordError, SchemaError, ValueRefusedError) as error:
            return str(error)
        return None


def _made_from(name: str, value: bytes | None) -> ContainerInfo:
    """Return the container that the sink would make of a record."""
    schema, _ = parse_record(value)
    if schema is None:
        raise SchemaError(f"there is no container {name!r}, and the record has no schema to make it from")
    return container_of(name, schema)
