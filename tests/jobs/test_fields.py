"""Field names over columns: one to one, collisions refused, Elasticsearch's types."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType
from gridwatch.containers._rules import check_info
from gridwatch.errors import JobsValueError
from gridwatch.jobs.fields import Fields, FieldType, column_name, columns_of, field_name


@given(field=st.text(min_size=1, max_size=12) | st.sampled_from(["@at_", "at_at_", "=41", "at_=40", "@@x", "a=C3=41"]))
def test_a_field_comes_back_from_its_column_which_griddb_takes(field: str) -> None:
    column = column_name(field)
    assert field_name(column) == field
    check_info(ContainerInfo("t", ContainerType.COLLECTION, (Column(column, ColumnType.LONG),)))


@pytest.mark.parametrize(
    ("field", "column"),
    [("@timestamp", "at_timestamp"), ("event.action", "event.action"), ("country-gender", "country-gender")],
)
def test_the_seeds_names(field: str, column: str) -> None:
    assert column_name(field) == column


def test_names_that_cannot_be_are_refused() -> None:
    with pytest.raises(JobsValueError, match="'Event' and 'event' would be one column, 'event': GridDB compares names"):
        columns_of(["Event", "event"])
    with pytest.raises(JobsValueError, match="needs a column name of 0 characters; GridDB takes 1 to 256"):
        column_name("")
    with pytest.raises(JobsValueError, match="needs a column name of 300 characters"):
        column_name("é" * 50)
    with pytest.raises(JobsValueError, match="not Unicode"):
        column_name("\ud800")
    both = (Column("at_x", ColumnType.LONG), Column("=40x", ColumnType.LONG))
    with pytest.raises(
        JobsValueError, match="'t': the columns 'at_x' and '=40x' both stand for the field '@x'; rename"
    ):
        Fields.of(ContainerInfo("t", ContainerType.COLLECTION, both))


def test_a_container_is_seen_as_fields() -> None:
    columns = tuple(Column(f"c{kind.value.lower().strip('()69')}{n}", kind) for n, kind in enumerate(ColumnType))
    info = ContainerInfo(
        "t", ContainerType.COLLECTION, (Column("at_id", ColumnType.STRING, nullable=False), *columns), ("at_id",)
    )
    fields = Fields.of(ContainerInfo("t", info.type, tuple(info.columns), info.row_key))
    kinds = [one.type.value for one in fields.values()]
    wanted = ["keyword", "boolean", "keyword", "byte", "short", "integer", "long", "float", "double", "date", "binary"]
    assert kinds == [*wanted, "date_nanos", "date_nanos", *["unreadable"] * (len(ColumnType) - 12)]
    assert [one.name for one in fields.key] == ["@id"]
    assert fields["at_id"] is fields["@id"]
    assert not fields["@id"].nullable
    assert fields.get("@ID") is None
    assert fields.near("@ID") == ["@id"]
    assert fields["@id"].type is FieldType.KEYWORD
