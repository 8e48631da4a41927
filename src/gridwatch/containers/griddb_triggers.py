"""GridDB 4.x's own REST triggers: for each row that is put, the server itself POSTs it to a URL. 5.x has none."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from gridwatch.containers.griddb_session import GridDBSession
from gridwatch.containers.jvm import java_class
from gridwatch.errors import SchemaError, SqlRefusedError, StoreError

__all__ = ["NO_TRIGGERS", "Triggers"]

NO_TRIGGERS = 1007
"""What a server of 5.x answers to a trigger."""

_GS = "com.toshiba.mwcloud.gs"
_URI_MAX = 4096


class Triggers(GridDBSession):
    """Triggers of a cluster's containers."""

    def put_trigger(self, container: str, name: str, url: str, columns: Sequence[str]) -> None:
        """Register a REST trigger for rows that are put, in place of one of the same name.

        Args:
            container: Its name.
            name: Of the trigger.
            url: http:// with a path, up to 4096 characters. It may hold a secret: no message shows it.
            columns: What is sent of the row.

        Raises:
            ContainerNotFoundError: There is no such container.
            SchemaError: The URL is none that GridDB calls.
            SqlRefusedError: The server has no triggers (1007): it is of 5.x.
        """
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or len(parts.path) < 2 or len(url) > _URI_MAX:
            raise SchemaError(
                f"GridDB's triggers call http:// URLs with a path of up to {_URI_MAX} characters; "
                f"{parts.scheme}://{parts.hostname} with {len(url)} characters is none."
            )
        try:
            with self._lent(f"Trigger of container {container!r}") as store:
                info, found = self._known(store, container)
                trigger = java_class(f"{_GS}.TriggerInfo")()
                trigger.setName(name)
                trigger.setType(java_class(f"{_GS}.TriggerInfo$Type").REST)
                trigger.setURI(java_class("java.net.URI")(url))
                events = java_class(f"{_GS}.TriggerInfo$EventType")
                trigger.setTargetEvents(java_class("java.util.EnumSet").of(events.PUT))
                wanted = java_class("java.util.HashSet")()
                for column in columns:
                    wanted.add(info.column(column).name)
                trigger.setTargetColumns(wanted)
                found.createTrigger(trigger)
        except StoreError as error:
            if error.code == NO_TRIGGERS:
                raise SqlRefusedError(
                    "This GridDB server has no triggers; those of 4.x have.", code=NO_TRIGGERS
                ) from None
            raise

    def triggers(self, container: str) -> dict[str, str]:
        """Return the URLs of a container's REST triggers by name; a URL may hold a secret.

        Raises:
            ContainerNotFoundError: There is no such container.
        """
        with self._lent(f"Triggers of container {container!r}") as store:
            self._known(store, container)
            listed = store.getContainerInfo(container).getTriggerInfoList()
            return {str(found.getName()): str(found.getURI()) for found in listed}

    def drop_trigger(self, container: str, name: str) -> bool:
        """Remove a trigger; tell whether there was one.

        Raises:
            ContainerNotFoundError: There is no such container.
        """
        if name not in self.triggers(container):
            return False
        with self._lent(f"Trigger of container {container!r}") as store:
            self._known(store, container)[1].dropTrigger(name)
        return True
