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
├── ProvenanceError             an anomaly that is not there, or that cannot be computed again
├── JobsError                   a job, datafeed or transform: with the status and type that Elasticsearch gives
│   ├── JobsBodyError           the JSON's shape: an unknown key, a value of another type (400)
│   ├── JobsValueError          a value that is not allowed, alone or beside another (400)
│   ├── JobsQueryError          a query that is wrong or not supported (400)
│   ├── JobsScriptError         a Painless script that is wrong or not supported (400)
│   ├── JobsRequestError        a request that cannot be met as it is (400)
│   ├── JobsExistsError         the id is taken (400)
│   ├── JobsNotFoundError       no job, datafeed, transform or index of this name (404)
│   ├── JobsConflictError       the state does not allow it (409)
│   │   └── JobsBusyError       somebody else is at work with it (409)
│   └── JobsCapacityError       no room for another job (429)
└── DeliveryError               a notification was refused or could not be sent
"""

from __future__ import annotations

from collections.abc import Iterable
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


class ProvenanceError(GridwatchError):
    """An anomaly that is not there, or whose score cannot be computed again."""


class JobsError(GridwatchError):
    """A job, datafeed or transform is wrong, or not in the state for what is asked.

    `status` is the HTTP status and `type` the error type that Elasticsearch answers with.

    Args:
        message: What is wrong, without path and choices, which are added to it.
        path: Where in the JSON, such as `query.bool.must[1].fuzzy`; empty where there is no place.
        allowed: What may stand there instead.
        **values: The values in the message.
    """

    status: int = 400
    type: str = "illegal_argument_exception"

    def __init__(self, message: str, *, path: str = "", allowed: Iterable[object] = (), **values: Any) -> None:
        choices = tuple(str(one) for one in allowed)
        text = f"[{path}] {message}" if path else message
        super().__init__(f"{text.rstrip('.')}; allowed: {', '.join(choices)}." if choices else text, **values)
        self.path = path
        self.allowed = choices
        self.reason = message


class JobsBodyError(JobsError):
    """The JSON has another shape: an unknown key, a value of another type, a missing key."""

    type = "x_content_parse_exception"


class JobsValueError(JobsError):
    """A value that is not allowed, by itself or beside another."""


class JobsQueryError(JobsError):
    """A query that is wrong or that is not supported."""

    type = "parsing_exception"


class JobsScriptError(JobsError):
    """A Painless script that is wrong or that is not supported.

    Args:
        message: What is wrong.
        line: Line in the script, from 1; 0 where there is no place.
        column: Column in the line, from 1.
        path: Where the script is in the JSON.
        allowed: What may stand there instead.
        **values: The values in the message.
    """

    type = "script_exception"

    def __init__(
        self,
        message: str,
        *,
        line: int = 0,
        column: int = 0,
        path: str = "",
        allowed: Iterable[object] = (),
        **values: Any,
    ) -> None:
        place = f"line {line}, column {column}: " if line else ""
        super().__init__(f"{place}{message}", path=path, allowed=allowed, **values)
        self.line = line
        self.column = column


class JobsRequestError(JobsError):
    """A request that cannot be met as it is, though each value is allowed."""

    type = "status_exception"


class JobsExistsError(JobsError):
    """The id is taken."""

    type = "resource_already_exists_exception"


class JobsNotFoundError(JobsError):
    """No job, datafeed, transform or container of this name."""

    status = 404
    type = "resource_not_found_exception"


class JobsConflictError(JobsError):
    """The state of a job, datafeed or transform does not allow it."""

    status = 409
    type = "status_exception"


class JobsBusyError(JobsConflictError):
    """Another thread or process is at work with a job; trying again later helps."""


class JobsCapacityError(JobsError):
    """No room for another job."""

    status = 429
    type = "status_exception"


class DeliveryError(GridwatchError):
    """A notification was refused or could not be sent."""
