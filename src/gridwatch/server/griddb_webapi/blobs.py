"""Rows whose BLOBs travel as files of a zip archive beside them, in a multipart body."""

from __future__ import annotations

import io
import secrets
import uuid
import zipfile
import zlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from flask import Response

from gridwatch.containers import ColumnType
from gridwatch.server.griddb_webapi import bodies
from gridwatch.server.griddb_webapi.answers import rows_text, spliced
from gridwatch.server.griddb_webapi.columns import rows_table
from gridwatch.server.griddb_webapi.containers import found
from gridwatch.server.griddb_webapi.errors import ApiError
from gridwatch.server.griddb_webapi.limits import REQUEST_BYTES_MAX, RESPONSE_BYTES_MAX, native_bytes
from gridwatch.server.griddb_webapi.rows import select, stored
from gridwatch.server.metrics import count_rows

if TYPE_CHECKING:
    from werkzeug.datastructures import FileStorage

    from gridwatch.containers import Store

__all__ = ["Archive", "put", "query", "row_arrays"]

_ROWS = bodies.each(bodies.any_array)
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
# What zipfile raises on bytes that are no archive, or one that it cannot read.
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, OSError, ValueError)


class Archive:
    """The files of an uploaded zip archive, read one by one; nothing is written to disk.

    Bytes that are no archive are one without files, as for GridDB's Web API.

    Raises:
        ApiError: The file is not called a zip archive.
    """

    def __init__(self, upload: FileStorage) -> None:
        if ".zip" not in (upload.filename or ""):
            raise ApiError(400, "File type is invalid")
        self._left = REQUEST_BYTES_MAX
        try:
            self._zip: zipfile.ZipFile | None = zipfile.ZipFile(io.BytesIO(upload.stream.read()))
        except _ZIP_ERRORS:
            self._zip = None

    def read(self, name: Any) -> bytes | None:
        """Return a file by the value of a BLOB column; blank text is null.

        Raises:
            ApiError: No such file, one that cannot be read, or all that were read are too many bytes.
        """
        if not isinstance(name, str):
            raise ApiError(400, "Can not read blob file.")
        if not name.strip(bodies.BLANK):
            return None
        if self._zip is None or name not in self._zip.NameToInfo:
            raise ApiError(400, f"File not found in list BLOB data: {name}")
        method = self._zip.NameToInfo[name].compress_type
        if method not in _METHODS:
            # Of the other methods zipfile unpacks a whole block at once, however little is asked for.
            message = f"File {name!r} of the archive is compressed by method {method}; use deflate, or none"
            raise ApiError(400, message)
        try:
            with self._zip.open(name) as file:
                # The sizes in the archive's list may lie; a small archive may unpack to anything.
                content = file.read(self._left + 1)
        except _ZIP_ERRORS as error:
            raise ApiError(400, f"File {name!r} of the archive cannot be read: {error}") from error
        if len(content) > self._left:
            raise ApiError(400, "Too many rows data")
        self._left -= len(content)
        return content


def row_arrays(content: bytes) -> list[list[Any] | None]:
    """Return the rows of the part `rows`.

    Raises:
        ApiError: It is no JSON array of arrays.
    """
    rows: list[list[Any] | None] = bodies.whole(bodies.parsed(bodies.read_text(content)), _ROWS)
    return rows


def put(store: Store, name: str, rows: list[list[Any] | None], archive: Archive) -> int:
    """Upsert rows whose BLOB columns name files of the archive; return how many there were.

    Raises:
        ApiError: The container or a file is missing, a row or a value is refused; nothing was stored.
    """
    if not rows:
        raise ApiError(400, "Rows data is empty")
    info = found(store, name)
    arrays = [row for row in rows if row is not None]
    if len(arrays) < len(rows):
        raise ApiError(400, "Row data is invalid")
    return stored(store, {name: rows_table(info, arrays, blob=archive.read)})


def query(store: Store, name: str, asked: Mapping[str, Any]) -> Response:
    """Answer a row query with two parts: the rows as JSON, where a BLOB is the name of a file, and the files as zip.

    Raises:
        ApiError: The container is missing, or the rows and files are too many bytes.
    """
    info = found(store, name)
    table, rest = select(store, info, name, asked)
    naming = _column_of(table, asked["fileNameCol"])
    files: dict[str, bytes] = {}
    arrays = []
    for column, values in zip(info.columns, table.columns, strict=True):
        if column.type is ColumnType.BLOB:
            values = _named(values, naming, files)
        elif column.type.precision and column.type is not ColumnType.TIMESTAMP:
            values = values.cast(ColumnType.TIMESTAMP.arrow, safe=False)
        arrays.append(values)
    shown = pa.Table.from_arrays(arrays, names=table.schema.names)
    packed = _packed(files)
    if sum(native_bytes(column) for column in shown.columns) + len(packed) > RESPONSE_BYTES_MAX:
        raise ApiError(400, "Too many results")
    count_rows("out", table.num_rows)
    columns = [
        {"name": column.name, "type": "TIMESTAMP" if column.type.precision else column.type.value}
        for column in info.columns
    ]
    return _multipart(spliced({"columns": columns, "rows": rows_text(shown), **rest}), packed)


def _column_of(table: pa.Table, name: str | None) -> list[Any]:
    """Return the values of the column whose text names the files; nothing when there is no such column."""
    for place, known in enumerate(table.schema.names):
        if name is not None and known.lower() == name.strip().lower():
            return list(table.column(place).to_pylist())
    return []


def _named(values: pa.ChunkedArray, naming: list[Any], files: dict[str, bytes]) -> pa.Array:
    """Put the contents into `files`, and return `(BLOB)` and the name of each."""
    cells: list[str | None] = []
    # The last number that was put before each name.
    numbers: dict[str, int] = {}
    for place, content in enumerate(values.to_pylist()):
        if not content:
            cells.append(None if content is None else "")
            continue
        wanted = naming[place] if naming else None
        name = str(wanted) if wanted is not None else ""
        # A name is a file beside the others, never a path elsewhere.
        if not name.strip(bodies.BLANK) or name in {".", ".."} or any(one in name for one in '/\\\0:"'):
            name = str(uuid.uuid4())
        free, number = name, numbers.get(name, 0)
        while free in files:
            number += 1
            free = f"{number}_{name}"
        numbers[name] = number
        files[free] = content
        cells.append(f"(BLOB){free}")
    return pa.array(cells, pa.string())


def _packed(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _multipart(rows: str, packed: bytes) -> Response:
    boundary = secrets.token_urlsafe(24)
    lines = [
        f"--{boundary}",
        'Content-Disposition: form-data; name="rows"',
        "Content-Type: application/json",
        "",
        rows,
        f"--{boundary}",
        f'Content-Disposition: form-data; name="file"; filename="{uuid.uuid4()}.zip"',
        "Content-Type: application/zip",
        f"Content-Length: {len(packed)}",
        "",
        "",
    ]
    body = "\r\n".join(lines).encode() + packed + f"\r\n--{boundary}--\r\n".encode()
    return Response(body, content_type=f"multipart/form-data;boundary={boundary}")
