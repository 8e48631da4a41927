"""What the two Grafana plugins send and how they read the answers, as far as gridwatch's dashboards use them.

Written after reading the sources of yesoreyeram-infinity-datasource 3.11 and griddb-datasource 1.1.0: each function
says which step of theirs it stands for.
"""

from __future__ import annotations

import base64
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import requests

TIMEOUT_S = 60


@dataclass(frozen=True)
class View:
    """What a dashboard shows: its range and how far apart two points of a panel are."""

    from_ms: int
    to_ms: int
    interval_ms: int


@dataclass(frozen=True)
class Login:
    """A data source as provisioned."""

    url: str
    cluster: str
    user: str
    password: str

    @property
    def database(self) -> str:
        return f"{self.url}/griddb/v2/{self.cluster}/dbs/public"

    @property
    def authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def interpolated(text: str, values: dict[str, str]) -> str:
    """Grafana's own variables, in the browser: `${name}` and `$name`; what it does not know stays as it is."""

    def found(match: re.Match[str]) -> str:
        return values.get(match[1] or match[2], match[0])

    return re.sub(r"\$\{(\w+)(?::[^}]*)?\}|\$(\w+)", found, text)


# --- Infinity ---


def macros(text: str, view: View) -> str:
    """The plugin's backend: `${__timeFrom}` and its kin, epoch ms without a format."""
    for name, moment_ms in (
        ("from", view.from_ms),
        ("timeFrom", view.from_ms),
        ("to", view.to_ms),
        ("timeTo", view.to_ms),
    ):
        for whole, form in re.findall(rf"(\$\{{__{name}:?(.*?)\}})", text):
            assert form == "", f"{whole}: the forms of a date lose trailing zeros, which GridDB does not read"
            text = text.replace(whole, str(moment_ms))
    return text.strip(" ")


def send_infinity(target: dict[str, Any], login: Login, view: View, *, browser: bool = True) -> requests.Response:
    """Send a target as the plugin's backend does; an alert's comes without the browser before it."""
    assert (target["type"], target["parser"], target["source"]) == ("json", "backend", "url")
    options = target["url_options"]
    scoped = {"__interval_ms": str(view.interval_ms), "__interval": f"{view.interval_ms}ms", "pages": "http://pages"}
    body = interpolated(options["data"], scoped) if browser else options["data"]
    assert (options["method"], options["body_type"]) == ("POST", "raw")
    headers = {
        "Accept": "application/json;q=0.9,text/plain",
        "Content-Type": options["body_content_type"],
        "Accept-Encoding": "gzip",
        "Authorization": login.authorization,
        "User-Agent": "Grafana/12.0.0",
    }
    url = target["url"] if target["url"].startswith(login.database) else login.database + target["url"]
    return requests.post(url, data=macros(body, view).encode(), headers=headers, timeout=TIMEOUT_S)


def infinity_frame(target: dict[str, Any], answer: requests.Response) -> dict[str, list[Any]]:
    """Read an answer as the plugin's JSON framer does: a root selector, then each column by its selector and type.

    Returns:
        Values by field; no field at all when there is no row, as in the plugin. Times are epoch ms.
    """
    assert answer.status_code < 400, answer.text
    assert answer.content, "the plugin calls an empty body an error"
    root: Any = json.loads(answer.content)
    for step in target["root_selector"].split("."):
        root = root[int(step)] if isinstance(root, list) else root[step]
    assert isinstance(root, list)
    if not root:
        return {}
    fields: dict[str, list[Any]] = {}
    for column in target["columns"]:
        values = [row[int(column["selector"])] for row in root]
        fields[column["text"]] = [_typed(value, column["type"]) for value in values]
    return dict(sorted(fields.items()))


def _typed(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "number":
        return float(value)
    if kind == "string":
        return value if isinstance(value, str) else json.dumps(value)
    if kind == "boolean":
        return value if isinstance(value, bool) else str(value).lower() == "true"
    if kind == "timestamp_epoch":
        assert isinstance(value, (int, float)), value
        return int(value)
    assert kind == "timestamp"
    return parsed_ms(value)


def parsed_ms(text: Any) -> int:
    """Read a time as RFC 3339, Go's first try, and as JavaScript's Date: both take this form."""
    assert isinstance(text, str)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text), text
    return round(datetime.fromisoformat(text).timestamp() * 1000)


# --- GridDB's plugin ---


def instant(moment_ms: int) -> str:
    """A time as the plugin writes it into TQL."""
    whole = datetime.fromtimestamp(moment_ms / 1000, UTC)
    return f"TIMESTAMP('{whole:%Y-%m-%dT%H:%M:%S}.{moment_ms % 1000:03d}Z')"


def tql_of(target: dict[str, Any]) -> str:
    """The statement of a target: as it stands in manual mode, put together in select-box mode."""
    if target["rawQuery"]:
        return str(target["query"])
    container, time = target["griddbContainer"]["text"], target["griddbTimeColumn"]["text"]
    chosen = "$__timeSampling(*, $__interval)" if target.get("griddbIsTimeSampling") else "*"
    assert not target["griddbWheres"]
    limit = target["griddbLimit"]
    limited = "" if limit is None else f" LIMIT {limit} OFFSET {target['griddbOffset']}"
    ranged = f"WHERE ({time} > $__timeFrom AND {time} < $__timeTo)"
    return f"SELECT {chosen} FROM {container} {ranged}{limited}"  # noqa: S608  # as the plugin makes it


def replaced(statement: str, view: View, time: str | None, interval_min_ms: int = 1000) -> str:
    """The macros. `$__timeFilter` is only known where one time column is, which manual mode has not."""
    if time:
        statement = statement.replace("$__timeFilter", f"({time} > $__timeFrom AND {time} < $__timeTo)")
    statement = re.sub(
        r"\$__timeSampling\(([^(),]+),([^(),]+)\)",
        lambda found: f"TIME_SAMPLING({found[1].strip()}, $__timeFrom, $__timeTo, {found[2].strip()})",
        statement,
    )
    step = f"{max(view.interval_ms, interval_min_ms)}, MILLISECOND"
    statement = statement.replace("$__interval", step).replace("$__minInterval", f"{interval_min_ms}, MILLISECOND")
    return statement.replace("$__timeFrom", instant(view.from_ms)).replace("$__timeTo", instant(view.to_ms))


_CONTAINER = re.compile(r"^\s*select.*[\s*)']from\s+([a-zA-Z0-9_]*)\s*(?:$|limit|order|where).*$", re.IGNORECASE)


def griddb_body(target: dict[str, Any], view: View) -> dict[str, Any]:
    """One element of the request: in manual mode the container is read from the text and all columns come."""
    raw = target["rawQuery"]
    time = None if raw else target["griddbTimeColumn"]["text"]
    statement = replaced(tql_of(target), view, time)
    if not raw:
        columns = [*target["griddbSelectedViewCols"]]
        if time not in columns and target["format"] == "time_series":
            columns.append(time)
        return {"name": target["griddbContainer"]["text"], "stmt": statement, "columns": columns}
    found = _CONTAINER.match(statement)
    assert found, f"the plugin does not see the container in {statement!r}"
    return {"name": found[1], "stmt": statement, "columns": None}


def send_tql(bodies: list[dict[str, Any]], login: Login) -> requests.Response:
    """Send statements through Grafana's proxy, which adds the login of the data source."""
    headers = {"Authorization": login.authorization, "Accept": "application/json, text/plain, */*"}
    return requests.post(f"{login.database}/tql", json=bodies, headers=headers, timeout=TIMEOUT_S)


def griddb_frames(targets: list[dict[str, Any]], answer: requests.Response) -> list[dict[str, list[Any]]]:
    """Read the answers: a frame a target, empty where there are no rows.

    A time series has its time last and becomes a line a column; a table keeps its values as they came.
    """
    assert answer.status_code == 200, answer.text
    elements = answer.json()
    assert isinstance(elements, list)
    assert len(elements) == len(targets)
    return [_griddb_frame(target, element) for target, element in zip(targets, elements, strict=True)]


def _griddb_frame(target: dict[str, Any], element: dict[str, Any]) -> dict[str, list[Any]]:
    names = [column["name"] for column in element["columns"]]
    types = {column["name"]: column["type"] for column in element["columns"]}
    rows = element["results"]
    assert isinstance(rows, list)
    if not rows:
        return {}
    shown = {name: target["alias"].replace("$__col", name) if target["alias"] else name for name in names}
    fields = {shown[name]: [row[place] for row in rows] for place, name in enumerate(names)}
    if target["format"] == "table":
        return fields
    time = target["griddbTimeColumn"]["text"]
    assert types[time] == "TIMESTAMP"
    fields[shown[time]] = [parsed_ms(value) for value in fields[shown[time]]]
    assert len(fields) >= 2, "not enough data to draw"
    return fields


def griddb_annotation_body(annotation: dict[str, Any], view: View) -> dict[str, Any]:
    """The request of an annotation: only the columns that it names."""
    columns = [annotation["timeColumn"], annotation["textColumn"]]
    columns += [name.strip() for name in annotation["tagsColumn"].split(",")]
    statement = replaced(annotation["query"], view, annotation["timeColumn"])
    return {"name": annotation["container"], "stmt": statement, "columns": list(dict.fromkeys(columns))}


def griddb_annotations(annotation: dict[str, Any], answer: requests.Response) -> list[dict[str, Any]]:
    """Read the answer of an annotation; the plugin calls it an error when there are none."""
    assert answer.status_code == 200, answer.text
    result = answer.json()[0]
    names = [column["name"] for column in result["columns"]]
    time = names.index(annotation["timeColumn"])
    assert result["columns"][time]["type"].upper() == "TIMESTAMP"
    if not result["results"]:
        raise LookupError("No results in response from GridDB")
    tags = [places for places, name in enumerate(names) if name in annotation["tagsColumn"].replace(" ", "").split(",")]
    text = names.index(annotation["textColumn"])
    return [
        {"time": parsed_ms(row[time]), "text": row[text] or "", "tags": [str(row[tag]) for tag in tags if row[tag]]}
        for row in result["results"]
    ]
