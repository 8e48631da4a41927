"""Rows in and out: GridDB's rules for each type, what is refused, BLOBs as files, limits."""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from gridwatch.containers import Store
from gridwatch.server.griddb_webapi import blobs, limits

BASE = "/griddb/v2/gridwatch/dbs/public"
JSON = "application/json; charset=UTF-8"


@pytest.fixture
def client(app: Any) -> Any:
    return app.test_client()


@pytest.fixture
def column(client: Any) -> Callable[..., None]:
    """Make the container `c` with an INTEGER key `k` and one column `v` of a type."""

    def make(kind: str, **more: Any) -> None:
        columns = [{"name": "k", "type": "INTEGER"}, {"name": "v", "type": kind, **more}]
        asked = {"container_name": "c", "container_type": "COLLECTION", "rowkey": True, "columns": columns}
        assert client.post(f"{BASE}/containers", json=asked).status_code == 201

    return make


def put(client: Any, cell: str, *, many: bool = False) -> Any:
    rows = f"[[1,{cell}]]"
    path, body = ("rows", f'[{{"containerName":"c","rows":{rows}}}]') if many else ("c/rows", rows)
    return client.put(f"{BASE}/containers/{path}", data=body.encode(), content_type=JSON)


def value(client: Any) -> Any:
    """The value of the one row, as text too, for 1 and 1.0 are equal."""
    answer = client.post(f"{BASE}/containers/c/rows", json={"limit": 5})
    ((_, found),) = answer.json["rows"]
    return found


ALIKE = [
    ("BOOL", "true", True),
    ("BOOL", '"TRUE"', True),
    ("BOOL", '"yes"', False),
    ("STRING", '"a\\"\\\\\\n\\u00e9"', 'a"\\\né'),
    ("BYTE", '"+5"', 5),
    ("SHORT", "-300", -300),
    ("INTEGER", "2147483647", 2147483647),
    ("LONG", "-9223372036854775808", -(2**63)),
    ("FLOAT", "16777217", 16777216.0),
    ("FLOAT", "1.4e-45", 1.4e-45),
    ("FLOAT", "0.1", 0.1),
    ("FLOAT", '"1.5f"', 1.5),
    ("FLOAT", "2147483648", 2147483650.0),
    ("DOUBLE", "3", 3.0),
    ("DOUBLE", '"0x1p3"', 8.0),
    ("DOUBLE", "1.5e300", 1.5e300),
    ("DOUBLE", "12345678901234567890", 1.2345678901234567e19),
    ("TIMESTAMP", '"2024-01-02T03:04:05.678Z"', "2024-01-02T03:04:05.678Z"),
    ("TIMESTAMP", '"2024-13-02T03:04:05.6Zx"', "2025-01-02T03:04:05.006Z"),
    ("BLOB", '"AAE"', "AAE="),
    ("BLOB", '"_-8="', "/+8="),
    ("BLOB", '"!!!"', ""),
    ("LONG_ARRAY", '[1,"2"]', [1, 2]),
    ("STRING_ARRAY", '["a","é"]', ["a", "é"]),
    ("DOUBLE_ARRAY", "[]", []),
    ("TIMESTAMP_ARRAY", '["1970-01-01T00:00:00.001Z"]', ["1970-01-01T00:00:00.001Z"]),
    ("GEOMETRY", '"POINT(1 2)"', "POINT(1 2)"),
    ("BOOL", "null", None),
    ("BLOB", "null", None),
    ("STRING_ARRAY", "null", None),
]


@pytest.mark.parametrize(("kind", "cell", "wanted"), ALIKE)
def test_both_puts_take_it_alike(client: Any, column: Any, kind: str, cell: str, wanted: Any) -> None:
    column(kind)
    for many in (False, True):
        assert put(client, cell, many=many).status_code == 200
        assert json.dumps(value(client)) == json.dumps(wanted)


@pytest.mark.parametrize(
    ("kind", "cell", "one", "several"),
    [
        ("BOOL", "1", False, None),
        ("STRING", "1.50", "1.50", "1.5"),
        ("STRING", "1E+2", "1E+2", "100.0"),
        ("STRING", "1e7", "1e7", "1.0E7"),
        ("DOUBLE", "0e5", None, 0.0),
        ("DOUBLE", "1e-400", None, 0.0),
        ("FLOAT", "1e-46", None, 0.0),
        ("BLOB", "5", "", None),
        ("FLOAT", "9223372036854775808", 9.223372e18, None),
    ],
)
def test_the_two_puts_differ(client: Any, column: Any, kind: str, cell: str, one: Any, several: Any) -> None:
    column(kind)
    for many, wanted in ((False, one), (True, several)):
        answer = put(client, cell, many=many)
        if wanted is None:
            assert answer.status_code == 400
        else:
            assert answer.status_code == 200
            assert value(client) == wanted


@pytest.mark.parametrize(
    ("kind", "cell", "status", "code", "message"),
    [
        ("INTEGER", "2147483648", 400, 0, "The specified data cannot be converted to INTEGER type."),
        ("BYTE", '" 5"', 400, 0, "cannot be converted to BYTE"),
        ("INTEGER", "1.0", 400, 0, "cannot be converted"),
        ("DOUBLE", '"1,5"', 400, 0, "cannot be converted to DOUBLE"),
        ("DOUBLE", "1e309", 400, 0, "DOUBLE"),
        ("DOUBLE", '"NaN"', 400, 0, "NaN cannot be stored in a DOUBLE column here"),
        ("TIMESTAMP", '"2024-01-02"', 400, 0, "cannot be converted to TIMESTAMP"),
        ("TIMESTAMP", "5", 400, 0, "TIMESTAMP"),
        ("TIMESTAMP", '"10000-01-01T00:00:00.000Z"', 400, 60079, "60079:DS_TIM_ROW_DATA_INVALID"),
        ("STRING", '"a\\u0000"', 500, 145006, "145006:JC_ILLEGAL_VALUE_FORMAT"),
        ("STRING", "[1]", 400, 0, "STRING"),
        ("STRING", '"\\ud800"', 400, 0, "not Unicode"),
        ("LONG_ARRAY", "[null]", 400, 0, "LONG"),
        ("GEOMETRY", '""', 400, 0, "WKT"),
        ("STRING", f'"{"x" * 31745}"', 400, 60079, "31744"),
    ],
)
def test_what_is_refused(client: Any, column: Any, kind: str, cell: str, status: int, code: int, message: str) -> None:
    column(kind)
    answer = put(client, cell)
    assert (answer.status_code, answer.json["errorCode"]) == (status, code)
    assert message in answer.json["errorMessage"]
    assert client.post(f"{BASE}/containers/c/rows", json={"limit": 5}).json["total"] == 0


@pytest.mark.parametrize(
    ("precision", "cell", "wanted"),
    [
        ("MICROSECOND", "2024-01-02T03:04:05.678901234Z", "2024-01-02T03:04:05.678901Z"),
        ("MICROSECOND", "2024-01-02T12:04:05+09:00", "2024-01-02T03:04:05.000000Z"),
        ("NANOSECOND", "2024-01-02T03:04:05.678901234Z", "2024-01-02T03:04:05.678901234Z"),
        ("NANOSECOND", "2024-01-02T03:04:05.6Z", None),
        ("MICROSECOND", "2023-02-30T00:00:00Z", None),
    ],
)
def test_finer_times(client: Any, column: Any, precision: str, cell: str, wanted: str | None) -> None:
    column("TIMESTAMP", timePrecision=precision)
    assert put(client, f'"{cell}"').status_code == (200 if wanted else 400)
    if wanted:
        assert value(client) == wanted
        info = client.get(f"{BASE}/containers/c/info").json
        assert info["columns"][1] == {"name": "v", "type": "TIMESTAMP", "index": [], "timePrecision": precision}


def test_a_mixed_body_keeps_its_arrays(client: Any, column: Any) -> None:
    column("STRING")
    sent = b'[[1, "a"], 7, null, {"x": [2, 1.50], "y": {"z": [3, "c"]}}] trailing'
    assert client.put(f"{BASE}/containers/c/rows", data=sent, content_type=JSON).json == {"count": 3}
    rows = client.post(f"{BASE}/containers/c/rows", json={"limit": 5, "sort": "k"}).json["rows"]
    assert rows == [[1, "a"], [2, "1.50"], [3, "c"]]


def test_several_containers_answer_in_the_order_of_javas_hash_table(client: Any) -> None:
    for name in ("wa_t", "wa_i"):
        columns = [{"name": "k", "type": "INTEGER"}]
        asked = {"container_name": name, "container_type": "COLLECTION", "rowkey": True, "columns": columns}
        client.post(f"{BASE}/containers", json=asked)
        client.put(f"{BASE}/containers/{name}/rows", json=[[3], [1], [2]])
    asked_rows = [{"name": "wa_t", "limit": 2}, {"name": "wa_i", "keyValues": [2, 1, 9]}]
    answer = client.post(f"{BASE}/containers/rows", json=asked_rows).json
    assert [(one["container"], one["results"], one["total"]) for one in answer] == [
        ("wa_i", [[1], [2]], 2),
        ("wa_t", [[1], [2]], 3),
    ]
    bounded = [{"name": "wa_i", "startKeyValue": "2", "finishKeyValue": 3, "offset": 1}]
    assert client.post(f"{BASE}/containers/rows", json=bounded).json[0]["results"] == [[3]]


def test_a_page_of_several_containers_reads_no_more(client: Any, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [f"2024-01-01T0{hour}:00:00.000Z" for hour in range(5)]
    made: dict[str, tuple[str, dict[str, str], list[Any]]] = {
        "series": ("TIME_SERIES", {"ts": "TIMESTAMP"}, [[time] for time in times]),
        "named": ("COLLECTION", {"k": "STRING", "v": "LONG_ARRAY"}, [["c", [1]], ["é", []], ["a", [2]], ["B", None]]),
    }
    for name, (kind, columns, rows) in made.items():
        listed = [{"name": column, "type": of} for column, of in columns.items()]
        asked = {"container_name": name, "container_type": kind, "rowkey": True, "columns": listed}
        assert client.post(f"{BASE}/containers", json=asked).status_code == 201
        assert client.put(f"{BASE}/containers/{name}/rows", json=rows).status_code == 200
    store.execute("create table both (k long, s string, primary key (k, s))")
    client.put(f"{BASE}/containers/both/rows", json=[[2, "a"], [1, "b"], [1, "a"], [10, ""]])
    monkeypatch.setattr(store, "read", None)

    def page(name: str, **more: Any) -> Any:
        (answer,) = client.post(f"{BASE}/containers/rows", json=[{"name": name, **more}]).json
        return answer["results"], answer["total"]

    assert page("series", limit=1) == ([[times[0]]], 5)
    bounded = {"startKeyValue": times[1], "finishKeyValue": times[3]}
    assert page("series", **bounded, limit=1, offset=1) == ([[times[2]]], 3)
    assert page("series", **bounded, limit=0) == ([], 3)
    assert page("series", offset=9) == ([], 5)
    assert page("named", limit=3) == ([["B", None], ["a", [2]], ["c", [1]]], 4)
    assert page("both", limit=2, offset=1) == ([[1, "b"], [2, "a"]], 4)


def test_blobs_travel_as_files(client: Any, column: Any) -> None:
    column("BLOB")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("a.bin", b"\x00\x01")
        out.writestr("../b.bin", b"up")
    rows = json.dumps([[1, "a.bin"], [2, "../b.bin"], [3, None], [4, " "]])
    parts = {"rows": (io.BytesIO(rows.encode()), "", "application/json"), "file": (archive, "blobs.zip")}
    archive.seek(0)
    answer = client.put(f"{BASE}/containers/c/rows/blob", data=parts, content_type="multipart/form-data")
    assert answer.json == {"count": 4}
    got = client.post(f"{BASE}/containers/c/rows", json={"limit": 9, "sort": "k"}).json["rows"]
    assert got == [[1, "AAE="], [2, base64.b64encode(b"up").decode()], [3, None], [4, None]]
    sent = client.post(f"{BASE}/containers/c/rows/blob", json={"limit": 9, "sort": "k", "fileNameCol": "K"})
    shown = re.search(rb"\r\n\r\n(\{.*?\})\r\n--", sent.data, re.DOTALL)
    assert shown is not None
    assert json.loads(shown.group(1))["rows"] == [[1, "(BLOB)1"], [2, "(BLOB)2"], [3, None], [4, None]]
    with zipfile.ZipFile(io.BytesIO(sent.data[sent.data.index(b"PK") :])) as files:
        assert {name: files.read(name) for name in files.namelist()} == {"1": b"\x00\x01", "2": b"up"}


def test_a_zip_that_unpacks_to_too_much_is_refused(client: Any, column: Any) -> None:
    column("BLOB")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("bomb", bytes(limits.REQUEST_BYTES_MAX + 1))
    assert len(archive.getvalue()) < 100_000
    archive.seek(0)
    parts = {"rows": (io.BytesIO(b'[[1,"bomb"]]'), "", "application/json"), "file": (archive, "b.zip")}
    answer = client.put(f"{BASE}/containers/c/rows/blob", data=parts, content_type="multipart/form-data")
    assert (answer.status_code, answer.json["errorMessage"]) == (400, "Too many rows data")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_of_a_method_that_cannot_be_bounded_is_refused(client: Any, column: Any, method: int) -> None:
    column("BLOB")
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", method) as out:
        out.writestr("a", b"content")
    archive.seek(0)
    parts = {"rows": '[[1,"a"]]', "file": (archive, "b.zip")}
    answer = client.put(f"{BASE}/containers/c/rows/blob", data=parts, content_type="multipart/form-data")
    wanted = f"File 'a' of the archive is compressed by method {method}; use deflate, or none"
    assert (answer.status_code, answer.json["errorMessage"]) == (400, wanted)


def test_rows_beside_a_zip_may_be_large(client: Any, column: Any) -> None:
    column("BLOB")
    head = "--b\r\nContent-Disposition: form-data; name="
    file = f'{head}"file"; filename="b.zip"\r\n\r\nno zip\r\n'
    body = f'{head}"rows"\r\n\r\n[[1,null]]{" " * 2_000_000}\r\n{file}--b--\r\n'
    answer = client.put(
        f"{BASE}/containers/c/rows/blob", data=body.encode(), content_type="multipart/form-data; boundary=b"
    )
    assert (answer.status_code, answer.json) == (200, {"count": 1})


def test_files_of_one_name_are_numbered_without_a_search() -> None:
    class Counting(dict[str, bytes]):
        looks = 0

        def __contains__(self, name: object) -> bool:
            self.looks += 1
            return super().__contains__(name)

    files = Counting()
    cells = blobs._named(pa.chunked_array([[b"x"] * 100]), ["n"] * 50 + ["1_n"] * 50, files)
    assert cells.to_pylist()[:3] + cells.to_pylist()[50:52] == [
        "(BLOB)n", "(BLOB)1_n", "(BLOB)2_n", "(BLOB)1_1_n", "(BLOB)2_1_n",
    ]  # fmt: skip
    assert len(files) == 100
    assert files.looks <= 200


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"rows": (io.BytesIO(b'[[1,"x"]]'), "", "application/json")}, "Required request part 'file' is not present"),
        ({"file": (io.BytesIO(b"no zip"), "b.zip")}, "Required request part 'rows' is not present"),
        ({"rows": '[[1,"x"]]', "file": (io.BytesIO(b"no zip"), "b.zip")}, "File not found in list BLOB data: x"),
        ({"rows": '[[1,"x"]]', "file": (io.BytesIO(b"no zip"), "b.tar")}, "File type is invalid"),
        ({"rows": "[]", "file": (io.BytesIO(b"no zip"), "b.zip")}, "Rows data is empty"),
        ({"rows": "[[1,5]]", "file": (io.BytesIO(b"no zip"), "b.zip")}, "Can not read blob file."),
    ],
)
def test_what_a_blob_put_lacks_is_told(client: Any, column: Any, parts: dict[str, Any], message: str) -> None:
    column("BLOB")
    answer = client.put(f"{BASE}/containers/c/rows/blob", data=parts, content_type="multipart/form-data")
    assert (answer.status_code, answer.json["errorMessage"]) == (400, message)


def test_more_than_the_limits_is_refused(client: Any, column: Any) -> None:
    column("BLOB")
    half = "AAAA" * 3_000_000
    for key in (1, 2):
        body = f'[[{key},"{half}"]]'.encode()
        assert client.put(f"{BASE}/containers/c/rows", data=body, content_type=JSON).status_code == 200
    both = f'[[1,"{half}"],[2,"{half}"]]'.encode()
    assert (
        client.put(f"{BASE}/containers/c/rows", data=both, content_type=JSON).json["errorMessage"]
        == "Too many rows data"
    )
    for path, asked in (
        ("containers/c/rows", {"limit": 5}),
        ("containers/rows", [{"name": "c"}]),
        ("tql", [{"name": "c", "stmt": "select *"}]),
        ("sql", [{"stmt": "select * from c"}]),
    ):
        answer = client.post(f"{BASE}/{path}", json=asked)
        assert (answer.status_code, answer.json["errorMessage"]) == (400, "Too many result")


def test_tql_keeps_to_its_shapes(client: Any) -> None:
    columns = [{"name": "ts", "type": "TIMESTAMP"}, {"name": "v", "type": "INTEGER"}]
    asked = {"container_name": "t", "container_type": "TIME_SERIES", "rowkey": True, "columns": columns}
    client.post(f"{BASE}/containers", json=asked)
    client.put(f"{BASE}/containers/t/rows", json=[[f"2024-01-01T0{hour}:00:00.000Z", hour] for hour in range(4)])

    def run(statement: str, **more: Any) -> Any:
        return client.post(f"{BASE}/tql", json=[{"name": "t", "stmt": statement, **more}]).json[0]

    paged = run("select * where v > 0\nlimit 2 offset 1", columns=["v"])
    assert paged == {
        "columns": [{"name": "v", "type": "INTEGER"}],
        "results": [[2], [3]],
        "offset": 1,
        "limit": 2,
        "total": 3,
        "responseSizeByte": 8,
    }
    assert run("select * limit 2000000")["limit"] == 1_000_000
    counted = run("select count(*)")
    assert counted == {"columns": [{"name": "aggregationResult", "type": "DOUBLE"}], "results": [[4.0]]}
    assert run("select max(ts)")["columns"][0]["timePrecision"] == "MILLISECOND"
    empty = run("select max(v) where v > 9")
    assert (empty["results"], empty["total"], len(empty["columns"])) == ([], 1, 2)
    assert run("select time_next(*, TIMESTAMP('2024-01-01T00:30:00.000Z'))")["total"] == -1


def test_sql_keeps_to_its_shapes(client: Any) -> None:
    answer = client.post(
        f"{BASE}/sql", json=[{"stmt": "select 1 a, 'é', 1.5, x'00', TIMESTAMP('2024-01-01T00:00:00Z')"}]
    )
    assert answer.content_type == "application/json;charset=UTF-8"
    assert answer.json == [
        {
            "columns": [
                {"name": "a", "type": "LONG"},
                {"name": "", "type": "STRING"},
                {"name": "", "type": "DOUBLE"},
                {"name": "", "type": "BLOB"},
                {"name": "", "type": "TIMESTAMP", "timePrecision": "MILLISECOND"},
            ],
            "results": [[1, "é", 1.5, "AA==", "2024-01-01T00:00:00.000Z"]],
            "responseSizeByte": 46,
        }
    ]
    for path, statement, code in (
        ("/sql", "insert into c values (1)", 200024),
        ("/sql", "select * from none", 280005),
        ("/sql", "selec 1", 240001),
        ("/sql/dml/query", "values (1)", 0),
        ("/sql/ddl", "create\ntable c (a integer)", 0),
    ):
        refused = client.post(BASE + path, json=[{"stmt": statement}])
        assert (refused.status_code, refused.json["errorCode"]) == (400, code)
    done = client.post(f"{BASE}/sql/update", json=[{"stmt": "create table c (a integer)"}, {"stmt": "nonsense"}]).json
    assert [(one["status"], one["updatedRows"]) for one in done] == [(1, 0), (0, 0)]
    assert done[1]["message"].startswith("[240001:SQL_COMPILE_SYNTAX_ERROR] ")


def test_no_message_tells_where_the_store_lies(client: Any, column: Any) -> None:
    column("STRING")
    put(client, '"a"')
    (told,) = client.post(f"{BASE}/sql/dml/update", json=[{"stmt": "insert into c values (1, 'b')"}]).json
    assert told["message"].startswith("[60154:CON_PUT_ROW_OPTION_INVALID] ")
    assert "store.db" not in told["message"]


@pytest.mark.parametrize(
    ("number", "stored"),
    [
        *[("0", 0.0), ("0.0", 0.0), ("-0.00", 0.0), ("0E0", 0.0), ("0.0e5", None), ("1e-5", 1e-5), ("1e-400", None)],
        *[(f"0.{'0' * 250}1e-99", None), (f"0.{'0' * 400}", 0.0), (f"0.{'0' * 400}1", None), ("10e0", 10.0)],
    ],
)
def test_a_zero_is_a_zero_only_if_it_was_written_as_one(
    client: Any, column: Any, number: str, stored: float | None
) -> None:
    column("DOUBLE")
    body = f"[[1,{number}],[2,0.0],[3,1.5e-7]]".encode()
    answer = client.put(f"{BASE}/containers/c/rows", data=body, content_type=JSON)
    assert answer.status_code == (400 if stored is None else 200)
    if stored is not None:
        rows = client.post(f"{BASE}/containers/c/rows", json={"limit": 5, "sort": "k"}).json["rows"]
        assert rows == [[1, stored], [2, 0.0], [3, 1.5e-7]]


@pytest.mark.parametrize(("name", "code"), [("a-b", 150010), ("a.b", 150010), ("9a", 151002)])
def test_a_name_that_tql_cannot_read_is_queried_in_sql(client: Any, name: str, code: int) -> None:
    columns = [{"name": "k", "type": "INTEGER"}]
    asked = {"container_name": name, "container_type": "COLLECTION", "rowkey": True, "columns": columns}
    client.post(f"{BASE}/containers", json=asked)
    client.put(f"{BASE}/containers/{name}/rows", json=[[1]])
    refused = client.post(f"{BASE}/containers/{name}/rows", json={"limit": 1})
    assert (refused.status_code, refused.json["errorCode"]) == (400, code)
    answer = client.post(f"{BASE}/sql", json=[{"stmt": f'select k from "{name}"'}])  # noqa: S608
    assert answer.json[0]["results"] == [[1]]
