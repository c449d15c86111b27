"""Schedules from arguments and files: read as they are meant, or refused whole with a sentence that names
argument, line and column."""

import pytest

from pkpd.core.errors import DataError, InputError, ScheduleError
from pkpd.decision.comparison.schedules import MOST_SCHEDULES, read_schedules

DAILY = "1 MIU sc daily x5"


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        content = content.encode("utf-8") if isinstance(content, str) else content
        (tmp_path / name).write_bytes(content)
        return name

    return write


def read(*arguments):
    return [(item.label, str(item.schedule), item.place) for item in read_schedules(arguments)]


def test_arguments_keep_their_order_and_are_called_by_their_number():
    assert read("2 MIU sc once", "none", DAILY, "placebo") == [
        ("2 MIU sc once", "2 MIU sc once", "schedule 1"),
        ("none (placebo)", "none", "schedule 2"),
        (DAILY, DAILY, "schedule 3"),
        ("none (placebo)", "none", "schedule 4"),
    ]


def test_a_text_file_has_a_schedule_a_line_with_labels_and_comments(write):
    text = f"# the plan\n\n{DAILY}\n  high: 2 MIU sc once  # twice\nratio 1:2 : none\n# {DAILY}\n"
    assert read("none", write("plan.txt", text), "1 MIU sc once") == [
        ("none (placebo)", "none", "schedule 1"),
        (DAILY, DAILY, "plan.txt:3"),
        ("high", "2 MIU sc once", "plan.txt:4"),
        ("ratio 1:2", "none", "plan.txt:5"),
        ("1 MIU sc once", "1 MIU sc once", "schedule 3"),
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("delimiter", [",", ";"])
def test_csv_files_as_programs_write_them_mean_the_same(write, end, mark, delimiter):
    rows = [("Label", " SCHEDULE "), ("low, then µ", f'"{DAILY}"'), ("", "none")]
    rows[1] = ('"low, then µ"', rows[1][1])
    name = write("plan.csv", mark + end.join(delimiter.join(row) for row in rows) + end)
    assert read(name) == [
        ("low, then µ", DAILY, "plan.csv:2"),
        ("none (placebo)", "none", "plan.csv:3"),
    ]


def test_a_quoted_label_that_begins_with_the_sign_of_a_comment_is_a_label(write):
    text = f'label,schedule\n# "a comment, too"\n"#1",{DAILY}\n" #2",none\n'
    assert read(write("plan.csv", text)) == [("#1", DAILY, "plan.csv:3"), ("#2", "none", "plan.csv:4")]


def test_a_csv_file_may_have_one_column_empty_lines_and_comments(write):
    assert read(write("plan.CSV", f"# mine\nschedule\n\n{DAILY}\n# no more\nnone\n")) == [
        (DAILY, DAILY, "plan.CSV:4"),
        ("none (placebo)", "none", "plan.CSV:6"),
    ]


def test_a_file_of_any_name_is_a_file_and_the_same_label_may_come_twice(write):
    assert [label for label, _, _ in read(write("plan", f"a: {DAILY}\na: none\n"))] == ["a", "a"]


def test_placebo_is_a_schedule_whatever_lies_in_the_folder(write):
    for name in ("none", "placebo"):
        write(name, f"{DAILY}\n")
        assert read(name) == [("none (placebo)", "none", "schedule 1")]


def test_a_label_is_one_line_without_what_a_terminal_obeys(write):
    name = write("plan.csv", f'label,schedule\n"two\nlines \x1b[31mred",{DAILY}\n')
    assert read(name)[0][0] == "two lines [31mred"


@pytest.mark.parametrize(
    ("words", "place", "said"),
    [
        ("0 MIU sc once", "1:1", "a dose must be above zero"),
        ("-1 MIU sc once", "1:1", "cannot be negative"),
        ("nan MIU sc once", "1:1", "finite number"),
        ("1e9 MIU sc daily x5", "1:1", "beyond anything given"),
        ("1 MIU sc daily x5 and 0 MIU sc once", "1:23", "a dose must be above zero"),
        ("1 MIU sc daily x2000000", "1:16", "more than 1000000 doses"),
        ("1 MIU sc daily for 50000 d", "1:16", "100 years"),
        ("1 MIU", "1:6", "the route is missing"),
        ("1 sc once", "1:3", "a dose needs a unit"),
        ("", "1:1", "empty"),
        ("low", "1:1", "begins with its dose"),
        ("1 MIU sc every 0 d x3", "1:16", "longer than zero"),
    ],
)
def test_a_bad_argument_is_named_with_its_column(words, place, said):
    with pytest.raises(ScheduleError) as error:
        read_schedules([DAILY, words, "none"])
    first, *_ = str(error.value).splitlines()
    assert first.startswith(f"schedule 2:{place}: "), first
    assert said in first


def test_every_bad_argument_is_named_and_the_good_ones_are_not():
    with pytest.raises(ScheduleError) as error:
        read_schedules(["0 MIU sc once", DAILY, "what"])
    lines = [line for line in str(error.value).splitlines() if line.startswith("schedule ")]
    assert [line.split(":")[0] for line in lines] == ["schedule 1", "schedule 3"]


def test_a_bad_line_of_a_file_is_named_with_its_column(write):
    name = write("plan.txt", f"{DAILY}\n high: 0 MIU sc once\n\nlow: 1 MIU sc sometimes\n")
    with pytest.raises(ScheduleError) as error:
        read_schedules([name])
    assert "plan.txt:2:8: a dose must be above zero" in str(error.value)
    assert "plan.txt:4:" in str(error.value)
    name = write("plan.csv", f'label;schedule\nlow;{DAILY}\n"h;igh";"0 MIU sc once"\n')
    with pytest.raises(ScheduleError, match=r"plan.csv:3:10: a dose must be above zero"):
        read_schedules([name])


def test_many_bad_lines_are_counted(write):
    with pytest.raises(ScheduleError) as error:
        read_schedules([write("plan.txt", "what\n" * 30)])
    assert str(error.value).count("plan.txt:") == 10
    assert "and 20 more" in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("plan.txt", "", "plan.txt holds no schedule"),
        ("plan.txt", "# nothing\n\n", "plan.txt holds no schedule"),
        ("plan.csv", "", "plan.csv holds no schedule"),
        ("plan.csv", "label,schedule\n", "plan.csv holds no schedule"),
        (
            "plan.csv",
            f"name,schedule\na,{DAILY}\n",
            "plan.csv:1:1 (name): unknown column; known are schedule, label",
        ),
        ("plan.csv", f"label,dose\na,{DAILY}\n", "plan.csv:1:1 (schedule): this column is missing"),
        ("plan.csv", f"label,scedule\na,{DAILY}\n", 'unknown column; did you mean "schedule"?'),
        (
            "plan.csv",
            f"schedule,schedule\na,{DAILY}\n",
            'plan.csv:1:10 (schedule): the column "schedule" stands twice',
        ),
        ("plan.csv", f"{DAILY}\nnone\n", "plan.csv:1:1 (schedule): this column is missing"),
        (
            "plan.csv",
            f"label,schedule\na,b,{DAILY}\n",
            'plan.csv:2:1 (label "a"): 3 fields where the header has 2',
        ),
        (
            "plan.csv",
            f"label,schedule\nlow,{DAILY}\nhigh,\n",
            "plan.csv:3:6 (schedule): there is no schedule",
        ),
        (
            "plan.csv",
            f'label,schedule\nlow,"{DAILY}\n',
            "plan.csv:2:1: unexpected end of data; is a quotation mark missing?",
        ),
        ("plan.txt", f"caf\xe9: {DAILY}\n".encode("latin-1"), "plan.txt:1:4: byte 0xE9 is not UTF-8"),
        (
            "plan.csv",
            f"label,schedule\nlow,{DAILY}\nh\xf6,none\n".encode("latin-1"),
            "plan.csv:3:2: byte 0xF6",
        ),
        ("plan.txt", f"{DAILY}\n".encode("utf-16"), "plan.txt"),
        ("plan.txt", b"\x00\x01\x02", "not a text file"),
        ("plan.txt", "# " + "x" * 1_000_001, "1,000,003 bytes are no list of schedules"),
        ("plan.txt", f"{DAILY}\n" * (MOST_SCHEDULES + 1), "51 schedules; at most 50 fit"),
    ],
)
def test_a_file_that_holds_no_schedules_is_refused_with_a_sentence(write, name, content, said):
    with pytest.raises((DataError, ScheduleError)) as error:
        read_schedules([DAILY, write(name, content)])
    assert said in str(error.value)


def test_what_is_not_there_or_no_file_is_said(tmp_path):
    with pytest.raises(DataError, match=r"there is no file gone\.txt"):
        read_schedules(["gone.txt"])
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"a folder folder\.csv, not a file"):
        read_schedules(["folder.csv"])
    with pytest.raises(InputError, match="there is no schedule"):
        read_schedules([])
    with pytest.raises(InputError, match="51 schedules are too many"):
        read_schedules([DAILY] * 51)


def test_a_schedule_longer_than_a_file_name_is_a_schedule():
    words = " then ".join([f"{DAILY} after 9 d" if i else DAILY for i in range(60)])
    assert len(words) > 1000
    assert len(read_schedules([words])) == 1
