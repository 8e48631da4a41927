"""What a statement's object may hold."""

from __future__ import annotations

from typing import Any

import pytest

BASE = "/griddb/v2/gridwatch/dbs/public"


@pytest.mark.parametrize("kind", ["sql-select", "anything", 1, None])
@pytest.mark.parametrize("path", ["sql", "sql/select", "sql/dml/query"])
def test_a_statement_may_name_its_type(app: Any, path: str, kind: object) -> None:
    answer = app.test_client().post(f"{BASE}/{path}", json=[{"type": kind, "stmt": "select 1 a"}])
    assert answer.status_code == 200
    assert answer.json[0]["results"] == [[1]]


def test_a_type_that_is_an_object_is_refused(app: Any) -> None:
    answer = app.test_client().post(f"{BASE}/sql", json=[{"type": {}, "stmt": "select 1 a"}])
    assert answer.status_code == 400
    assert "'type'" in answer.json["errorMessage"]
