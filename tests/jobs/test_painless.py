"""Scripts on the embedded store against what they mean, and what is refused, with line, column and name."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gridwatch.containers import Column, ColumnType, ContainerInfo, ContainerType, Store
from gridwatch.errors import JobsError, JobsScriptError, SqlRefusedError
from gridwatch.jobs.fields import Fields, FieldType
from gridwatch.jobs.painless import compile_script, parse
from gridwatch.jobs.runtime import with_runtime_fields
from gridwatch.jobs.sql import compose
from tests.jobs.backends import BACKENDS
from tests.jobs.script_oracle import UnspecifiedError, emitted, moment

INFO = ContainerInfo(
    "rows",
    ContainerType.COLLECTION,
    (
        Column("id", ColumnType.INTEGER, nullable=False),
        Column("s", ColumnType.STRING),
        Column("t.x", ColumnType.STRING),
        Column("n", ColumnType.LONG),
        Column("m", ColumnType.SHORT),
        Column("d", ColumnType.DOUBLE),
        Column("b", ColumnType.BOOL),
        Column("at_time", ColumnType.TIMESTAMP),
    ),
    ("id",),
)
FIELDS = Fields.of(INFO)
TEXTS = [None, "", "GB", " gb ", "a-b-c", "Größe", "日本-x", "\tGB\n", "it's", "5", "aaa"]
LONGS = [None, 0, 1, -1, 7, -8, 10**12, 2**63 - 1, -(2**63)]
DOUBLES = [None, 0.0, 0.5, -0.5, 2.5, -2.5, 1.25, 3.75, -7.0, 1e15]
TIMES_MS = [None, 0, 1_700_000_000_123, 1_709_164_800_000, 951_782_399_999]
ROWS: list[dict[str, Any]] = [
    {
        "id": number,
        "s": TEXTS[number % 11],
        "t.x": TEXTS[number * 7 % 11],
        "n": LONGS[number % 9],
        "m": [None, 0, 3, -4, 32767][number % 5],
        "d": DOUBLES[number * 3 % 10],
        "b": [None, True, False][number % 3],
        "at_time": TIMES_MS[number * 2 % 5],
    }
    for number in range(60)
]


@pytest.fixture(scope="module", params=BACKENDS)
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with request.param(tmp_path_factory.mktemp("painless")) as found:
        found.put_container(INFO)
        found.put(INFO.name, pa.Table.from_pylist(ROWS, schema=INFO.arrow))
        yield found


def answers(store: Store, source: str, kind: str = "keyword", **params: Any) -> list[Any]:
    found = compile_script(source, FieldType(kind), FIELDS, params)
    found = compose('SELECT "id", {} AS v FROM "rows" ORDER BY "id"', found)
    return list(store.sql(found.text, found.parameters).column(1).to_pylist())


# Texts of scripts by the type of what they give.
def quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


constants = {
    "String": st.sampled_from(["", "-", "GB", "a", "b", "x", "it's", "ö", " "]).map(quoted),
    "int": st.integers(-3, 9).map(str) | st.sampled_from(["2147483647", "1000"]),
    "long": st.integers(-3, 9).map(lambda one: f"{one}L") | st.just("9223372036854775807L"),
    "double": st.sampled_from(["0.0", "0.5", "2.0", "-1.5", "3.25", "100.0"]),
    "boolean": st.sampled_from(["true", "false"]),
}
reads = {
    "String": st.sampled_from(["doc['s'].value", "doc['t.x'].value"]),
    "int": st.sampled_from(["doc['s'].size()", "doc['@time'].value.getHour()", "doc['@time'].value.getDayOfYear()"]),
    "long": st.sampled_from(["doc['n'].value", "doc['m'].value"]),
    "double": st.just("doc['d'].value"),
    "boolean": st.sampled_from(["doc['b'].value", "(doc['n'].size() == 0)"]),
}
names = ["x", "y"]


def expressions(depth: int) -> dict[str, st.SearchStrategy[str]]:
    """Return scripts' expressions by type, nested so deep at most."""
    if depth == 0:
        return {kind: constants[kind] | reads[kind] for kind in constants}
    inner = expressions(depth - 1)
    text, whole, long, real, truth = (inner[kind] for kind in constants)
    number = whole | long | real
    choice = {kind: st.builds(lambda c, a, b: f"({c} ? {a} : {b})", truth, inner[kind], inner[kind]) for kind in inner}

    def pair(signs: list[str], left: st.SearchStrategy[str], right: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.builds(lambda a, sign, b: f"({a} {sign} {b})", left, st.sampled_from(signs), right)

    def call(name: str, *args: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.builds(lambda target, *rest: f"{target}.{name}({', '.join(rest)})", text, *args)

    arithmetic = ["+", "-", "*", "/", "%"]
    return {
        "String": st.one_of(
            *(text, choice["String"], pair(["+"], text, text | whole | long | truth)),
            *(call("substring", whole), call("substring", whole, whole), call("replace", text, text)),
            *(call("toUpperCase"), call("toLowerCase"), call("trim"), call("concat", text)),
            st.builds(lambda a: f"String.valueOf({a})", whole | long | truth | text),
        ),
        "int": st.one_of(
            *(whole, choice["int"], pair(arithmetic, whole, whole), call("length"), call("indexOf", text)),
            *(call("lastIndexOf", text), call("indexOf", text, whole)),
            st.builds(lambda a: f"(int) ({a})", number),
        ),
        "long": st.one_of(
            *(long, choice["long"], pair(arithmetic, long, whole), pair(arithmetic, whole, long)),
            *(st.builds(lambda a: f"(-({a}))", long), st.builds(lambda a: f"Math.abs({a})", long)),
            *(st.builds(lambda a: f"Math.round({a})", real), st.builds(lambda a: f"(long) ({a})", real)),
            st.builds(lambda f, a, b: f"Math.{f}({a}, {b})", st.sampled_from(["max", "min"]), long, long),
        ),
        "double": st.one_of(
            *(real, choice["double"], pair(arithmetic, real, number)),
            st.builds(lambda f, a: f"Math.{f}({a})", st.sampled_from(["floor", "ceil", "sqrt", "signum"]), real),
            st.builds(lambda a: f"(double) ({a})", long),
        ),
        "boolean": st.one_of(
            *(truth, choice["boolean"], st.builds(lambda a: f"!{a}", truth), pair(["&&", "||"], truth, truth)),
            *(pair(["==", "!=", "<", "<=", ">", ">="], number, number), pair(["==", "!="], text, text)),
            *(call("contains", text), call("startsWith", text), call("endsWith", text), call("isEmpty")),
            *(call("equals", text), call("equalsIgnoreCase", text)),
        ),
    }


EXPRESSIONS = expressions(3)
SHALLOW = expressions(1)
SCRIPTS = st.one_of(
    EXPRESSIONS["String"].map(lambda a: f"emit({a})"),
    st.builds(
        lambda start, condition, then, other: (
            f"String x = {start}; if ({condition}) {{ x += {then}; }} else if (x.isEmpty()) return; "
            f"else {{ emit({other}); return }} emit(x)"
        ),
        *(SHALLOW["String"], SHALLOW["boolean"], SHALLOW["String"], SHALLOW["String"]),
    ),
    st.builds(
        lambda start, condition, other: f"def x = {start}; if ({condition}) emit('a'); else emit({other} + x);",
        *(SHALLOW["long"], SHALLOW["boolean"], SHALLOW["String"]),
    ),
)
NUMBERS = st.one_of(
    EXPRESSIONS["long"].map(lambda a: ("long", f"emit({a})")),
    EXPRESSIONS["double"].map(lambda a: ("double", f"emit({a})")),
    EXPRESSIONS["boolean"].map(lambda a: ("boolean", f"emit({a})")),
)


def check(store: Store, source: str, kind: str) -> None:
    try:
        found = answers(store, source, kind)
    except (JobsScriptError, SqlRefusedError) as error:
        # Constants alone that fail are refused beforehand, and what is too long for SQL.
        assume(not re.search("by zero|characters|constants|beyond|of an empty text|nested too deep", str(error)))
        raise
    script = parse(source)
    for row, answer in zip(ROWS, found, strict=True):
        values = {**row, "@time": moment(row["at_time"])}
        try:
            wanted = emitted(script, values, kind)
        except UnspecifiedError:
            continue
        same = answer == wanted or (isinstance(wanted, float) and answer is not None and math.isclose(answer, wanted))
        assert same, (source, row, answer, wanted)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(source=SCRIPTS)
def test_a_script_of_texts_gives_what_it_means(store: Store, source: str) -> None:
    check(store, source, "keyword")


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(script=NUMBERS)
def test_a_script_of_numbers_gives_what_it_means(store: Store, script: tuple[str, str]) -> None:
    check(store, script[1], script[0])


def test_the_seeds_script_runs_as_it_stands(store: Store) -> None:
    seed = """
    {"country-gender": {"type": "keyword", "script": {
        "source": "emit(doc['geoip.country_iso_code'].value + '-' + doc['customer_gender'].value)"}}}
    """
    columns = [Column("geoip.country_iso_code", ColumnType.STRING), Column("customer_gender", ColumnType.STRING)]
    info = ContainerInfo("orders", ContainerType.COLLECTION, tuple(columns))
    store.put_container(info)
    rows = [("GB", "MALE"), ("FR", None), (None, "FEMALE"), ("", "")]
    store.put("orders", pa.table({c.name: [row[n] for row in rows] for n, c in enumerate(columns)}))
    field = with_runtime_fields(json.loads(seed), Fields.of(info))["country-gender"]
    found = compose('SELECT {} AS "country-gender" FROM "orders"', field.sql)
    table = store.sql(found.text, found.parameters)
    assert table.to_pydict() == {"country-gender": ["GB-MALE", None, None, "-"]}


@pytest.mark.parametrize(
    ("source", "kind", "wanted"),
    [
        ("emit(doc['@time'].value.dayOfWeekEnum.getDisplayName(TextStyle.FULL, Locale.ROOT))", "keyword", "Tuesday"),
        ("emit(doc['@time'].value.dayOfWeekEnum.getDisplayName(TextStyle.SHORT, Locale.ENGLISH))", "keyword", "Tue"),
        ("emit('' + doc['@time'].value.getDayOfWeekEnum())", "keyword", "TUESDAY"),
        ("emit(doc['@time'].value.dayOfWeekEnum.value)", "long", 2),
        ("emit(doc['@time'].value.toInstant().toEpochMilli() + 1)", "date", moment(1_700_000_000_124)),
        ("emit(-1L)", "date", None),
        ("emit(doc['@time'].value.isAfter(doc['@time'].value))", "boolean", False),
        ("emit(doc['@time'].value.toEpochSecond())", "long", 1_700_000_000),
        ("emit(doc['@time'].value.nano)", "long", 123_000_000),
        ("emit(params.rate * 2)", "double", 2.5),
        ("emit(params['name'].length() + (params.containsKey('x') ? 1 : 0))", "long", 3),
        ("emit($('s', 'none') + field('n').get(0L))", "keyword", "GB7"),
        ("emit(doc.containsKey('s') && !doc.containsKey('q'))", "boolean", True),
        ("emit(Math.pow(doc['d'].value, 2) + Math.log10(100) + Math.log(1))", "double", 2.25),
        ("emit(Integer.parseInt('4' + doc['m'].value) + Long.parseLong('-5'))", "long", None),
        ("emit(Math.PI > 3 && Math.E < 3)", "boolean", True),
        ("int a = 1, b; b = a + 2; b *= 2; b--; emit(b)", "long", 5),
        ("emit(doc['s'].value == null ? 'a' : 'b')", "keyword", "b"),
        ("def x = doc['s'].value; { x += '!' } emit(x) // done", "keyword", "GB!"),
        ("/* none */ if (doc['n'].value > 100) emit('many')", "keyword", None),
        ("emit(doc['s'].value.substring(1, 99))", "keyword", None),
        ("if (doc['n'].value > 1) { def y = 1; } else { def y = 'b'; } String y = 'c'; emit(y)", "keyword", "c"),
        ("emit(24 * 60 * 60 * 1000L + 1)", "long", 86_400_001),
    ],
)
def test_what_scripts_give(store: Store, source: str, kind: str, wanted: Any) -> None:
    row = {"id": 0, "s": "GB", "n": 7, "m": 3, "d": 0.5, "at_time": 1_700_000_000_123}
    one = ContainerInfo("one", INFO.type, INFO.columns, INFO.row_key)
    store.put_container(one)
    store.put("one", pa.Table.from_pylist([row], schema=INFO.arrow))
    if "parseInt" in source:
        with pytest.raises(JobsScriptError, match="a calculation with constants alone that may fail"):
            compile_script(source, FieldType(kind), FIELDS)
        return
    found = compile_script(source, FieldType(kind), FIELDS, {"rate": 1.25, "name": "abc"})
    found = compose('SELECT {} AS v FROM "one"', found)
    assert store.sql(found.text, found.parameters).column(0).to_pylist() == [wanted]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("", r"^\[script.source\] a script that emits nothing; it needs emit\(...\)"),
        ("emit(doc['q'].value)", r"^\[script.source\] line 1, column 10: No field found for \[q\] in mapping"),
        ("emit(doc['S'].value)", r"No field found for \[S\] in mapping; allowed: s\."),
        ("\n  emit(1)", r"^\[script.source\] line 2, column 3: \[int\] where \[String\] is needed; use String.valueOf"),
        ("for (int i = 0; i < 3; ++i) {}", r"line 1, column 1: a for loop is not supported"),
        ("def f = x -> x;", r"line 1, column 11: a lambda is not supported"),
        ("emit(new ArrayList())", r"line 1, column 6: new is not supported"),
        ("emit('a' 'b')", r"line 1, column 10: unexpected \['b'\]"),
        ("emit('a", r"line 1, column 6: unexpected \['a\]"),
        ("emit('a'", r"line 1, column 9: the script ends too early"),
        (r"emit('\n')", r"the escape \[\\n\] in a text; allowed: "),
        ("emit('' + 3000000000)", r"the number \[3000000000\] is beyond the range of int; write \[3000000000L\]"),
        ("emit('' + 1e999)", r"the number \[1e999\] is beyond the range of double"),
        ("emit(doc['s'].value.charAt(0))", r"column 21: the method \[charAt\] of String; allowed: concat, contains,"),
        (
            "emit(doc['s'].value.substring('a'))",
            r"\[substring\] of \(String\); allowed: substring\(int\), substring\(int, int\)",
        ),
        ("emit(doc['s'].values)", r"\[values\] of a field; allowed: .value, .size\(\)"),
        (
            "emit(doc['@time'].value.dayOfWeekEnum.getDisplayName(TextStyle.NARROW, Locale.US))",
            r"TextStyle.NARROW; allowed",
        ),
        (
            "emit(doc['@time'].value.dayOfWeekEnum.getDisplayName('x'))",
            r"getDisplayName of anything but a TextStyle and",
        ),
        ("emit(doc['s'])", r"a field without .value or .size\(\)"),
        ("emit(doc.s.value)", r"\[doc.s\]; write doc\['s'\]"),
        ("emit(doc['d'].value + '')", r"a double as text, which SQL writes otherwise than Java; cast it to \(long\)"),
        ("emit('' + doc['@time'].value)", r"a ZonedDateTime as text.*allowed: getYear"),
        ("emit(doc['s'].value < 'b' ? 'a' : 'b')", r"\[<\] of String and String; allowed: numbers"),
        ("emit(doc['s'].value == 1 ? 'a' : 'b')", r"\[==\] of String and int, which are never equal"),
        ("emit(doc['b'].value ? 1 : 'b')", r"a choice between int and String"),
        ("emit('a'); emit('b')", r"column 12: a second emit\(...\) on the same way"),
        ("emit(doc['n'].value)", r"\[long\] where \[String\] is needed"),
        ("emit(x)", r"\[x\] is no variable; allowed: doc, params"),
        ("String x; emit(x)", r"the variable \[x\] has no value here"),
        ("def x = 1; def x = 2;", r"the variable \[x\] is declared already"),
        ("{ def x = 1; } emit('' + x)", r"\[x\] is no variable"),
        ("x = 1", r"\[x\] is no variable"),
        ("int x = 5L;", r"\[long\] where \[int\] is needed; cast it with \(int\)"),
        ("List x = 5;", r"the type \[List\]; allowed: def, String, int"),
        ("def x = null;", r"null at this place; a field that a row may lack is asked with .size\(\) == 0"),
        ("emit(params.x)", r"no parameter \[x\]"),
        ("emit(params._source.x)", r"no parameter \[_source\]; doc\['...'\].value reads a field"),
        ("emit('' + Math.exp(1))", r"the method \[exp\] of Math; allowed: abs, ceil"),
        ("emit('' + Math.abs('a'))", r"Math.abs of \(String\); it takes 1 numbers"),
        ("emit('' + 5 / 0)", r"\[/\] by zero"),
        ("emit('' + (2147483647 + 1))", r"\[\+\] of constants leads beyond the range of int"),
        ("emit('a' - 'b')", r"\[-\] of String and String"),
        ("emit('' + (5 & 3))", r"the operator \[&\] is not supported"),
        ("if (1) emit('a')", r"\[int\] as condition; allowed: boolean"),
        ("return 'a'", r"return with a value; a runtime field's script emits it"),
        ("'a'", r"an expression alone does nothing; allowed: emit\(...\)"),
        ("emit(foo('a'))", r"the function \[foo\]; allowed: emit, field, \$"),
        ("emit(doc['s'].value.replace('', 'x'))", r"replace of an empty text"),
        ("emit(" + "(" * 200 + "'a'" + ")" * 200 + " + 'b'" * 200 + ")", r"an expression nested deeper than 80 levels"),
        ("emit('a');" * 100, r"a second emit"),
        ("if (true) ;" * 100, r"a script with too many statements"),
        (
            "String x = 'a';" + "x += x;" * 20 + "emit(x)",
            r"an expression that becomes SQL of more than 20000 characters",
        ),
        ("//" + "x" * 20_000, r"a script of 20002 characters; at most 16384"),
    ],
)
def test_what_cannot_be_compiled_is_refused_by_place_and_name(source: str, message: str) -> None:
    with pytest.raises(JobsScriptError, match=message) as refusal:
        compile_script(source, FieldType.KEYWORD, FIELDS)
    assert (refusal.value.status, refusal.value.type) == (400, "script_exception")


pieces = st.sampled_from(
    [
        *(
            "emit",
            "(",
            ")",
            "doc",
            "[",
            "]",
            "'s'",
            "'n'",
            ".value",
            ".size()",
            "+",
            "-",
            "/",
            "==",
            "?",
            ":",
            ";",
            "if",
        ),
        *(
            "else",
            "{",
            "}",
            "return",
            "def",
            "String",
            "int",
            "x",
            "=",
            "1",
            "2.5",
            "'a'",
            "&&",
            "!",
            "Math.abs",
            "null",
        ),
        *(
            ".length()",
            ".substring",
            ",",
            "true",
            "params",
            ".x",
            "emit(doc['s'].value)",
            "doc['@time'].value",
            ".getHour()",
        ),
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    source=st.lists(pieces, max_size=14).map(" ".join) | st.text(max_size=20), kind=st.sampled_from(["keyword", "long"])
)
def test_junk_scripts_are_refused_or_run(store: Store, source: str, kind: str) -> None:
    status = 400
    try:
        answers(store, source, kind)
    except JobsError as error:
        status = error.status
    assert status == 400
