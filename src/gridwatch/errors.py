"""One error tree for all of gridwatch.

GridwatchError
├── ConfigError                 a setting, dataset, suite or command-line value is wrong
│   └── DatasetError            a dataset file is wrong
├── MissingServiceError         a server that is needed does not answer
├── StoreError                  the container store refused or failed
│   ├── ContainerNotFoundError
│   ├── ContainerExistsError    it is there, with another schema
│   ├── SchemaError             a name, type or key that GridDB refuses
│   ├── ValueRefusedError       a value that GridDB refuses (NaN, range, type)
│   ├── RangeTooLargeError      more rows than the caller allowed
│   ├── SqlRefusedError         SQL that GridDB does not take, or that this backend cannot answer alike
│   ├── SqlFailedError          SQL that failed while it ran (division by zero, overflow)
│   ├── StoreBusyError          another writer held the lock too long
│   ├── ObjectNotFoundError     no object of this path
│   ├── ObjectConflictError     the path is a folder, or below an object
│   └── ObjectCorruptError      stored bytes do not match their sha256
├── SourceError                 a data source answered an error or nonsense
│   └── RateLimitedError
├── StreamError                 Kafka: broker, producer or sink
├── JavaError                   no JRE, no jars, or a child JVM that died
├── QualityError                validation could not run
│   └── ValidationFailedError   it ran, and the data failed
├── DetectorError               a detector cannot learn or score this
├── TrackingError               MLflow answered an error
└── DeliveryError               a notification was refused or could not be sent
"""

from __future__ import annotations

from typing import Any


class GridwatchError(Exception):
    """Root of all errors that gridwatch raises on purpose.

    Args:
        message: Names the thing, its value and what to do.
        **values: The values in the message, kept as attributes for callers that handle the error.
    """

    def __init__(self, message: str, **values: Any) -> None:
        super().__init__(message)
        self.values = values

    def __getattr__(self, name: str) -> Any:
        values = self.__dict__.get("values", {})
        if name in values:
            return values[name]
        raise AttributeError(name)


class ConfigError(GridwatchError):
    """A setting, dataset, suite or command-line value is wrong."""


class DatasetError(ConfigError):
    """A dataset file is missing or wrong."""


class MissingServiceError(GridwatchError):
    """A server that is needed does not answer."""


class StoreError(GridwatchError):
    """The container store refused or failed.

    `code` holds GridDB's error number where it has one, `text` the message without it.
    """

    code: int | None = None

    def __init__(self, message: str, *, code: int | None = None, **values: Any) -> None:
        super().__init__(f"[{code}] {message}" if code is not None else message, **values)
        self.code = code
        self.text = message


class ContainerNotFoundError(StoreError):
    """No container has this name."""


class ContainerExistsError(StoreError):
    """A container of this name exists with another schema or type."""


class SchemaError(StoreError):
    """A name, type, key or option that GridDB refuses."""


class ValueRefusedError(StoreError):
    """A value that GridDB refuses: NaN or infinity here, out of range, of the wrong type."""


class RangeTooLargeError(StoreError):
    """More rows match than the caller allowed."""


class SqlRefusedError(StoreError):
    """SQL that GridDB does not take, or that this backend cannot answer as GridDB would."""


class SqlFailedError(StoreError):
    """SQL that failed while it ran, such as a division by zero."""


class StoreBusyError(StoreError):
    """Another writer held the store's lock for too long."""


class ObjectNotFoundError(StoreError):
    """No object of this path, or it was replaced while it was read."""


class ObjectConflictError(StoreError):
    """An object's path is a folder of other objects, or is below an object."""


class ObjectCorruptError(StoreError):
    """Stored bytes do not match their sha256."""


class SourceError(GridwatchError):
    """A data source answered an error, or something that is not what it should send."""


class RateLimitedError(SourceError):
    """A data source asks to wait."""


class StreamError(GridwatchError):
    """Kafka failed: broker, producer or sink."""


class JavaError(GridwatchError):
    """No Java runtime, no jars, or a child JVM that died."""


class QualityError(GridwatchError):
    """A validation could not run."""


class ValidationFailedError(QualityError):
    """A validation ran and the data failed it."""


class DetectorError(GridwatchError):
    """A detector cannot learn from or score these rows."""


class TrackingError(GridwatchError):
    """MLflow answered an error."""


class DeliveryError(GridwatchError):
    """A notification was refused or could not be sent."""
