"""A table is taken apart as it is written or every wrong place of it is named: columns, fields, lines."""

import pytest

from pkpd.core.errors import DataError
from pkpd.core.tables import by_name, parse_table


def refused(table) -> str:
    with pytest.raises(DataError) as error:
        table.problems.stop_if_any()
    return str(error.value)


def test_a_quoted_field_may_go_over_several_lines_and_lines_are_counted_through_it():
    table = parse_table('a,b,c\n1,"two\r\nlines, one field",x\n2,y,z\n')
    assert [line.number for line in table.lines] == [2, 4]
    assert table.fields(table.lines[0]) == {"a": "1", "b": "two\nlines, one field", "c": "x"}
    table.wrong(table.lines[0], "c", "so")
    assert refused(table) == "<records>:3:19 (c): so"


def test_lines_that_say_nothing_are_no_records():
    table = parse_table("# of today\n\na;b\n;;\n ; \n1;2\n\n# end\n")
    assert [line.fields for line in table.lines] == [("1", "2")] and not table.problems.found


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_columns_are_checked_by_name_whatever_their_case(separator):
    table = parse_table(separator.join(("Row", "VALU", "Note")) + "\n", "f.csv")
    table.check_columns(("row", "value"), ("note", "use"))
    first, second = refused(table).splitlines()[1:]
    assert first.strip() == "f.csv:1:1 (value): this column is missing"
    assert second.strip() == 'f.csv:1:5 (VALU): unknown column; did you mean "value"?'


def test_all_missing_columns_are_named_at_once():
    table = parse_table("a,b\n")
    table.check_columns(("a", "b", "c", "d"))
    assert [line.split()[1] for line in refused(table).splitlines()[1:]] == ["(c):", "(d):"]


def test_places_may_be_said_by_the_name_of_row_and_column():
    table = parse_table('row,value\nr1,x\nr2\n"a ""b""",y\n', "data.csv", place=by_name)
    table.wrong(table.lines[0], "value", "no number", about='row "r1"')
    assert refused(table).splitlines()[1:] == [
        '  data.csv: line 2 (row "r1"), column "value": no number',
        '  data.csv: line 3 (row "r2"): 1 fields where the header has 2',
    ]


def test_a_field_is_wrong_once_and_25_problems_are_shown_in_the_order_of_the_file():
    table = parse_table("a,b\n" + "1,2\n" * 40)
    for line in reversed(table.lines):
        table.wrong(line, "b", "first")
        table.wrong(line, "b", "second")
    lines = refused(table).splitlines()
    assert lines[0] == "<records>: 40 problems, nothing was read" and lines[-1] == "  and 15 more"
    assert lines[1:-1] == [f"  <records>:{number}:3 (b): first" for number in range(2, 27)]


def test_where_a_quotation_mark_is_missing_nothing_behind_it_is_judged():
    message = refused(parse_table('a,b\n1,2,3\n"1,2\n1,2,3\n1,2,3\n'))
    assert [line.split(":")[1] for line in message.splitlines()[1:]] == ["2", "3"]
    assert "is a quotation mark missing?" in message


def test_the_text_of_a_field_stands_behind_its_quotation_mark():
    table = parse_table('a,"b ""c""",d\n1,2, x\n1,"y\nz","w"\n')
    assert [table.text_start(line, "d") for line in table.lines] == [(2, 6), (4, 5)]


def test_an_empty_file_says_what_it_should_begin_with():
    with pytest.raises(
        DataError, match=r"f\.csv is empty; its first line must name the columns, such as a,b"
    ):
        parse_table("# nothing\n", "f.csv", example="a,b")


def test_a_field_of_any_length_is_refused_with_a_sentence():
    with pytest.raises(DataError, match=r"field larger than field limit .* a line of 400001 characters"):
        parse_table(b"x" * 200_000 + b"," + b"y" * 200_000)
