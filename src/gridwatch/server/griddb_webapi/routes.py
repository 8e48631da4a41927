"""The addresses of the Web API. The body is read before the credentials are checked, as GridDB does it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, current_app, g, request

from gridwatch.errors import ConfigError, StoreError
from gridwatch.server.auth import WEB_API
from gridwatch.server.griddb_webapi import blobs, bodies, containers, requested, rows, several, sql, tql
from gridwatch.server.griddb_webapi.access import caller, enter, need_write
from gridwatch.server.griddb_webapi.answers import dumped, empty, json_answer, spliced
from gridwatch.server.griddb_webapi.errors import ApiError, error_answer, of_store
from gridwatch.server.metrics import count_store_error
from gridwatch.server.state import state

if TYPE_CHECKING:
    import threading

    from gridwatch.containers import Store
    from gridwatch.server.griddb_webapi.access import Caller

__all__ = ["blueprint", "http_error"]

blueprint = Blueprint("griddb_webapi", __name__, url_prefix=f"{WEB_API}v2/<cluster>/dbs/<database>")

TIMEOUT_MS_MAX = 10_000
UNKNOWN_BYTES_MAX = 1024 * 1024


def _store() -> Store:
    return state(current_app).store


@blueprint.errorhandler(ApiError)
def _refused(error: ApiError) -> Response:
    return error_answer(error)


@blueprint.errorhandler(StoreError)
def _store_refused(error: StoreError) -> Response:
    count_store_error(error.code)
    return error_answer(of_store(error))


@blueprint.errorhandler(ConfigError)
def _misconfigured(error: ConfigError) -> Response:
    return error_answer(ApiError(503, str(error)))


def _enter(who: Caller, cluster: str, database: str, *, sql: bool = False, statements: bool = False) -> None:
    """Check the credentials, then take a turn: who has none to show takes none from those who have.

    Turns keep threads free for triggers and pages, however many clients the Web API has.

    Args:
        who: What `caller` returned.
        cluster: The cluster in the address.
        database: The database in the address.
        sql: Tell refusals as SQL's endpoints do.
        statements: Whether the request runs SQL or TQL, which has fewer turns.

    Raises:
        ApiError: What `enter` raises, or all turns are taken (503).
    """
    enter(who, cluster, database, sql=sql)
    parts = state(current_app)
    if "turns" not in g:
        g.turns = []
        _take_turn(parts.api_requests, "requests")
    if statements:
        _take_turn(parts.statements, "SQL and TQL statements")


def _take_turn(turns: threading.BoundedSemaphore, what: str) -> None:
    if not turns.acquire(blocking=False):
        raise ApiError(503, f"Too many {what} at once; send this one again.")
    g.turns.append(turns)


@blueprint.teardown_request
def _end_turn(_error: BaseException | None) -> None:
    for turns in g.pop("turns", ()):
        turns.release()


@blueprint.before_request
def _acceptable() -> Response | None:
    # A quality of 0 does not exclude: Spring, which GridDB's Web API is made with, looks at the types alone.
    kinds = [kind.partition(";")[0].strip().lower() for kind in request.headers.get("Accept", "").split(",")]
    wanted = {"", "*/*", "application/*", "application/json"}
    if request.path.rstrip("/").endswith("/rows/blob") or not wanted.isdisjoint(kinds):
        return None
    return empty(406)


@blueprint.before_request
def _large_bodies_need_a_user() -> None:
    """Check the credentials first where the body is large; a small one is read before, as GridDB does."""
    if (request.content_length or 0) > UNKNOWN_BYTES_MAX and request.view_args:
        _enter(caller(), request.view_args["cluster"], request.view_args["database"])


def http_error(status: int, description: str) -> Response:
    """Return the answer to an address, method or size that is none of the Web API's."""
    if status == 404:
        now = state(current_app).clock()
        body = {"timestamp": now, "status": 404, "error": "Not Found", "path": request.path}
        answer = json_answer(dumped(body), 404)
        answer.headers["Content-Type"] = "application/json"
        return answer
    message = f"Request method '{request.method}' not supported" if status == 405 else description
    return error_answer(ApiError(status, message))


@blueprint.get("/checkConnection", strict_slashes=False)
def check_connection(cluster: str, database: str) -> Response:
    """Answer 200 when the credentials open the database."""
    timeout = requested.number("timeout")
    _enter(caller(), cluster, database)
    if timeout is not None and timeout <= 0:
        raise ApiError(400, "Timeout must be greater than 0")
    if timeout is not None and timeout > TIMEOUT_MS_MAX:
        raise ApiError(400, "Cannot wait that long")
    return empty(200)


@blueprint.get("/containers", strict_slashes=False)
def list_containers(cluster: str, database: str) -> Response:
    """List container names."""
    limit, offset = requested.number("limit"), requested.number("offset")
    kind, order = requested.choice("type", "COLLECTION", "TIME_SERIES"), requested.choice("sort", "ASC", "DESC")
    if limit is None:
        raise ApiError(400, "'limit' is required")
    _enter(caller(), cluster, database)
    return json_answer(dumped(containers.listed(_store(), kind, limit, offset or 0, descending=order == "DESC")))


@blueprint.post("/containers", strict_slashes=False)
def create_container(cluster: str, database: str) -> Response:
    """Make a container."""
    asked = requested.body(containers.CONTAINER)
    who = caller()
    containers.checked(asked)
    _enter(who, cluster, database)
    need_write()
    containers.create(_store(), asked)
    return empty(201)


@blueprint.delete("/containers", strict_slashes=False)
def delete_containers(cluster: str, database: str) -> Response:
    """Drop containers."""
    names = requested.body(bodies.each(bodies.text))
    _enter(caller(), cluster, database)
    need_write()
    containers.drop(_store(), names)
    return empty(204)


@blueprint.get("/containers/<container>/info", strict_slashes=False)
def container_info(cluster: str, database: str, container: str) -> Response:
    """Describe a container."""
    _enter(caller(), cluster, database)
    return json_answer(dumped(containers.describe(containers.found(_store(), container))))


@blueprint.put("/containers/<container>/rows", strict_slashes=False)
def put_rows(cluster: str, database: str, container: str) -> Response:
    """Upsert rows."""
    content = requested.content(strict=True, named_charset=True)
    found = rows.row_arrays(content)
    who = caller()
    if not found:
        raise ApiError(400, "Rows data is empty")
    _enter(who, cluster, database)
    need_write()
    return json_answer(dumped({"count": rows.put(_store(), container, found, content)}))


@blueprint.post("/containers/<container>/rows", strict_slashes=False)
def query_rows(cluster: str, database: str, container: str) -> Response:
    """Query rows."""
    asked = requested.body(rows.QUERY)
    who = caller()
    rows.check_query(asked)
    _enter(who, cluster, database)
    return json_answer(spliced(rows.query(_store(), container, asked)))


@blueprint.delete("/containers/<container>/rows", strict_slashes=False)
def delete_rows(cluster: str, database: str, container: str) -> Response:
    """Delete rows by key."""
    keys = requested.body(bodies.any_array)
    _enter(caller(), cluster, database)
    need_write()
    rows.delete(_store(), container, keys)
    return empty(204)


@blueprint.put("/containers/<container>/rows/blob", strict_slashes=False)
def put_blobs(cluster: str, database: str, container: str) -> Response:
    """Upsert rows whose BLOBs are files of a zip archive."""
    if request.mimetype not in {"multipart/form-data", "multipart/mixed"}:
        raise ApiError(400, "Failed to parse multipart request: the content type has to be multipart/form-data")
    upload = request.files.get("file")
    sent = request.files["rows"].stream.read() if "rows" in request.files else request.form.get("rows")
    for part, there in (("rows", sent is not None), ("file", upload is not None)):
        if not there:
            raise ApiError(400, f"Required request part '{part}' is not present")
    found = blobs.row_arrays(sent.encode("utf-8", "surrogateescape") if isinstance(sent, str) else sent or b"")
    who = caller()
    archive = blobs.Archive(upload)  # type: ignore[arg-type]
    _enter(who, cluster, database)
    need_write()
    answer = json_answer(dumped({"count": blobs.put(_store(), container, found, archive)}))
    answer.headers["Content-Type"] = "application/json"
    return answer


@blueprint.post("/containers/<container>/rows/blob", strict_slashes=False)
def query_blobs(cluster: str, database: str, container: str) -> Response:
    """Query rows, their BLOBs as files of a zip archive."""
    asked = requested.body(rows.QUERY)
    who = caller()
    rows.check_query(asked)
    _enter(who, cluster, database)
    return blobs.query(_store(), container, asked)


@blueprint.put("/containers/rows", strict_slashes=False)
def put_many(cluster: str, database: str) -> Response:
    """Upsert rows of several containers."""
    asked = requested.body(rows.MULTI_PUT, strict=True)
    _enter(caller(), cluster, database)
    need_write()
    return json_answer(dumped(rows.put_many(_store(), asked)))


@blueprint.post("/containers/rows", strict_slashes=False)
def query_many(cluster: str, database: str) -> Response:
    """Query rows of several containers by key."""
    asked = requested.body(several.MULTI_GET)
    _enter(caller(), cluster, database)
    return json_answer(_array(several.query_many(_store(), asked)))


def _array(answers: list[dict[str, Any]]) -> str:
    return f"[{','.join(spliced(answer) for answer in answers)}]"


@blueprint.post("/tql", strict_slashes=False)
def run_tql(cluster: str, database: str) -> Response:
    """Run TQL statements."""
    asked = requested.body(tql.STATEMENTS)
    who = caller()
    tql.check(asked)
    _enter(who, cluster, database, statements=True)
    return json_answer(_array([tql.run(_store(), one) for one in asked]))


def _queries(cluster: str, database: str, verbs: re.Pattern[str] | None) -> Response:
    asked = requested.body(sql.STATEMENTS)
    who = caller()
    statements = sql.check(asked, verbs)
    sql.check_characters(statements)
    _enter(who, cluster, database, sql=True, statements=True)
    try:
        return json_answer(_array([sql.query(_store(), statement) for statement in statements]))
    except StoreError as error:
        count_store_error(error.code)
        raise sql.refused(error) from error


def _changes(cluster: str, database: str, verbs: re.Pattern[str] | None, *, counted: bool) -> Response:
    asked = requested.body(sql.STATEMENTS)
    who = caller()
    statements = sql.check(asked, verbs)
    _enter(who, cluster, database, sql=True, statements=True)
    parts = state(current_app)
    answers = [sql.change(parts, database, statement, counted=counted) for statement in statements]
    return json_answer(dumped(answers))


@blueprint.post("/sql", strict_slashes=False)
@blueprint.post("/sql/select", strict_slashes=False)
def run_sql(cluster: str, database: str) -> Response:
    """Run SELECT statements."""
    return _queries(cluster, database, None)


@blueprint.post("/sql/dml/query", strict_slashes=False)
def run_query(cluster: str, database: str) -> Response:
    """Run SELECT statements, and nothing that begins otherwise."""
    return _queries(cluster, database, sql.QUERY)


@blueprint.post("/sql/update", strict_slashes=False)
def run_update(cluster: str, database: str) -> Response:
    """Run any statement that changes something."""
    return _changes(cluster, database, None, counted=True)


@blueprint.post("/sql/dml/update", strict_slashes=False)
def run_dml(cluster: str, database: str) -> Response:
    """Run UPDATE, DELETE, INSERT and REPLACE."""
    return _changes(cluster, database, sql.UPDATE, counted=True)


@blueprint.post("/sql/ddl", strict_slashes=False)
def run_ddl(cluster: str, database: str) -> Response:
    """Run CREATE, ALTER and DROP."""
    return _changes(cluster, database, sql.DDL, counted=False)


@blueprint.post("/sql/dcl", strict_slashes=False)
def run_dcl(cluster: str, database: str) -> Response:
    """Run GRANT, REVOKE and SET PASSWORD."""
    return _changes(cluster, database, sql.DCL, counted=False)
