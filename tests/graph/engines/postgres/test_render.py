"""Each form of SQL as text: what is bound by whom is what the nodes say."""

from __future__ import annotations

import pytest

from intelgraph.graph.engines.postgres.nodes import (
    EVERY,
    NULL,
    TRUE,
    All,
    AnyOf,
    ArrayOf,
    As,
    Call,
    Case,
    Cast,
    Column,
    Derived,
    Element,
    Expression,
    Infix,
    IsNull,
    Join,
    Name,
    Nested,
    Not,
    Number,
    Order,
    Parameter,
    Query,
    Rendered,
    Row,
    Rows,
    Scalar,
    Select,
    Table,
    Text,
    Typed,
    Union,
    With,
    call,
    columns_of,
    concat,
    equal,
    plus,
    when,
)
from intelgraph.graph.engines.postgres.render import render

A, B = Column("t", "a"), Column("t", "b")
ONE, TWO = Number(1), Number(2)


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (Column("t", "*"), "t.*"),
        (Text("it's"), "'it''s'"),
        (Text("back\\slash"), "'back\\slash'"),
        (Typed("jsonb", "{}"), "jsonb '{}'"),
        (Parameter(4, "text[]"), "$4::text[]"),
        (call("f"), "f()"),
        (Call("max", (A,), where=equal(B, ONE)), "max(t.a) filter (where t.b = 1)"),
        (Call("agg", (A, Text(",")), order_by=(Order(B, descending=True),)), "agg(t.a, ',' order by t.b desc)"),
        (Call("row_number", over=()), "row_number() over ()"),
        (Call("row_number", over=(Order(A), Order(B))), "row_number() over (order by t.a, t.b)"),
        (when(TRUE, ONE), "case when true then 1 end"),
        (Case(((Text("x"), ONE), (Text("y"), TWO)), NULL, A), "case t.a when 'x' then 1 when 'y' then 2 else null end"),
        (AnyOf(A, Parameter(4, "text[]")), "t.a = any ($4::text[])"),
        (IsNull(Element(A, ONE)), "t.a[1] is null"),
        (Element(call("array_agg", A), ONE), "(array_agg(t.a))[1]"),
        (Cast(NULL, "int"), "null::int"),
        (Cast(call("f"), "text"), "(f())::text"),
        (Cast(Infix(A, "->", Text("x")), "int"), "(t.a -> 'x')::int"),
        (Infix(Row((A, B)), ">", Row((ONE, TWO))), "(t.a, t.b) > (1, 2)"),
        (ArrayOf(Select((ONE,))), "array(select 1)"),
        (plus(A, 1), "t.a + 1"),
    ],
)
def test_an_expression(node: Expression, text: str) -> None:
    assert render(node) == text


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (equal(Infix(A, "->>", Text("x")), Text("y")), "t.a ->> 'x' = 'y'"),
        (equal(equal(A, B), TRUE), "(t.a = t.b) = true"),
        (Infix(Infix(A, "||", B), "||", A), "t.a || t.b || t.a"),
        (Infix(A, "||", Infix(B, "||", A)), "t.a || (t.b || t.a)"),
        (Infix(Infix(A, "+", B), "/", TWO), "(t.a + t.b) / 2"),
        (equal(All((A, B)), TRUE), "(t.a and t.b) = true"),
        (equal(IsNull(A), TRUE), "(t.a is null) = true"),
        (IsNull(equal(A, B)), "(t.a = t.b) is null"),
        (Not(All((A, B))), "not (t.a and t.b)"),
        (All((Not(A), equal(A, B), IsNull(B))), "not t.a and t.a = t.b and t.b is null"),
    ],
)
def test_an_operand_that_would_be_bound_otherwise_is_in_parentheses(node: Expression, text: str) -> None:
    assert render(node) == text


@pytest.mark.parametrize(
    ("node", "text"),
    [
        (Select((), (Table("ig.entity", "e"),), limit=plus(ONE, 1)), "select from ig.entity e limit 1 + 1"),
        (
            Select(
                (A, As(call("count", EVERY), "n")), (Table("t"),), where=B, group_by=(A,), having=TRUE,
                order_by=(Order(A),),
            ),
            "select t.a, count(*) as n from t where t.b group by t.a having true order by t.a",
        ),
        (Select((As(A, "x"),), distinct=True), "select distinct t.a as x"),
        (Select((ONE,), offset=Number(0)), "select 1 offset 0"),
        (
            Select((ONE,), (Table("h"),), tables=(With("h", Select((TWO,))),)),
            "with h as materialized (select 2) select 1 from h",
        ),
        (
            Select((ONE,), (Derived(Select((TWO,)), "x", ("n",)), Rows(call("f", A), "r"))),
            "select 1 from (select 2) x (n), f(t.a) r",
        ),
        (
            Select((ONE,), (Rows(call("unnest", A), "m", ("v", "n"), ordinality=True),)),
            "select 1 from unnest(t.a) with ordinality as m(v, n)",
        ),
        (
            Select((ONE,), (Join(Table("a", "x"), Table("b", "y"), equal(Column("x", "i"), Column("y", "i"))),)),
            "select 1 from a x join b y on x.i = y.i",
        ),
        (
            Select((ONE,), (Join(Table("a", "x"), Derived(Select((TWO,)), "y")),)),
            "select 1 from a x cross join lateral (select 2) y",
        ),
        (Union((Select((ONE,)), Select((TWO,))), limit=ONE), "select 1 union all select 2 limit 1"),
        (Union((Nested(Select((ONE,))),)), "(select 1)"),
    ],
)  # fmt: skip
def test_a_query(node: Query, text: str) -> None:
    assert render(node) == text


def test_what_orders_or_bounds_a_part_of_a_union_is_not_the_unions() -> None:
    part = Select((A,), order_by=(Order(A),), limit=ONE)
    assert render(Union((part, Select((B,))), order_by=(Order(Name("a")),), limit=TWO)) == (
        "((select t.a order by t.a limit 1) union all select t.b) order by a limit 2"
    )


def test_texts_that_follow_each_other_are_one() -> None:
    inner = concat(Text("{"), A, Text("}"))
    assert render(concat(Text("["), inner, Text("]"))) == "concat('[{', t.a, '}]')"


def test_what_was_rendered_before_is_written_as_it_is() -> None:
    assert render(Scalar(Rendered("select $1 -- $2"))) == "(select $1 -- $2)"


def test_the_columns_of_a_table_are_found_wherever_they_are_read() -> None:
    within = Scalar(Select((Column("t", "c"),), where=IsNull(Column("u", "d"))))
    assert columns_of(Select((when(equal(A, B), within),), (Table("t"),)), "t") == {"a", "b", "c"}
    assert columns_of((As(A, "t.z"), Text("t.y")), "t") == {"a"}
