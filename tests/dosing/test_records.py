"""A data file says what NONMEM and Monolix mean by it, however it is spelled; what it cannot mean is refused
whole, with line and column."""

import dataclasses
import math
import time
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.core.errors import DataError, InputError, PkpdError
from pkpd.core.tables import parse_table
from pkpd.dosing import Part, Schedule
from pkpd.dosing.events import DOSE, FIRST, LAST, REPLACE, RESET, STEADY, STEADY_ADDED
from pkpd.dosing.intake import Intake
from pkpd.dosing.records import parse_records, read_records
from pkpd.solver.events import of_event

MODEL = Intake(
    time_unit="h",
    states=("depot", "central", "effect", "pool"),
    routes=("sc", "iv", "slow", "timed"),
    route_targets=(0, 1, 3, 3),
    route_speeds=("", "", "rate", "duration"),
    dose_units={
        "sc": {"IU": 1e-6, "MIU": 1.0, "mg": 18 / 1.1, "ug": 0.018 / 1.1},
        "iv": {"IU": 1e-6, "MIU": 1.0},
        "slow": {"mg": 1.0},
        "timed": {"mg": 1.0},
    },
    sizes={"m2": 1, "kg": 0},
    parameters=("WT", "BSA", "CL"),
    lower=(1.0, 0.1, 0.0),
    upper=(500.0, 5.0, 100.0),
)
COLUMNS = ("time", "amount", "route", "duration", "size", "rate", "kind", "interval")


def taken(text, model=MODEL, **options):
    return model.take(parse_records(text, "data.csv"), **options)


def course(text, **options):
    (only,) = taken(text, **options).courses
    return only


def events(text, **options):
    return course(text, **options).events


def same(a, b):
    return all(np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True) for name in COLUMNS)


def refused(text, model=MODEL, **options):
    with pytest.raises(DataError) as caught:
        taken(text, model, **options)
    return str(caught.value)


def dose(**fields):
    """A file of one dose, with other columns than the usual ones."""
    row = {"ID": 1, "TIME": 0, "AMT": 5, "CMT": 1} | fields
    return f"{','.join(row)}\n{','.join(map(str, row.values()))}\n"


# --- what is meant --------------------------------------------------------------------------------


def test_lines_become_events_observations_and_covariates():
    found = course(
        "ID,TIME,EVID,AMT,CMT,DV,DVID,WT\n"
        "a,0,0,.,.,0.5,il2,70\n"
        "a,0,1,2,depot,.,.,70\n"
        "a,6,0,.,.,3.5,il2,70\n"
        "a,6,2,.,.,.,.,70\n"
        "a,8,0,.,.,.,treg,\n"
        "a,24,3,.,.,.,.,70\n"
        "a,24,4,3,iv,.,.,70\n"
        "a,30,replace,0,effect,.,.,70\n"
    )
    assert found.id == "a"
    assert found.events.time.tolist() == [0, 24, 24, 24, 30]
    assert found.events.kind.tolist() == [DOSE, RESET, RESET, DOSE, REPLACE]
    assert found.events.amount.tolist() == [2, 0, 0, 3, 0]
    assert found.events.route[[0, 3, 4]].tolist() == [0, 1, 2]  # sc, iv, and the state effect
    assert np.isnan(found.events.duration[[0, 3]]).all()  # as the route has it
    assert found.observations.time.tolist() == [0, 6, 8]
    first, *others = found.observations.place.tolist()
    assert first[0] == 0  # above the first event
    assert all(place == list(LAST) for place in others)
    assert np.array_equal(found.observations.value, [0.5, 3.5, np.nan], equal_nan=True)
    assert found.observations.value_id == ("il2", "il2", "treg")
    assert found.observations.line.tolist() == [2, 4, 6]
    assert found.baseline == {"WT": 70.0}
    assert found.changes == ()


def test_an_observation_above_a_dose_of_its_instant_is_taken_before_it():
    found = course("ID,TIME,AMT,CMT\n1,0,5,1\n1,24,,\n1,24,5,1\n1,24,,\n")
    assert found.observations.time.tolist() == [24, 24]
    before, after = found.observations.place.tolist()
    assert before[0] == 1 and after == list(LAST)


SPELLINGS = [
    "ID,TIME,AMT,RATE,II,ADDL,SS,CMT,EVID,DV,MDV",
    "id,Time,amt,rate,ii,addl,ss,cmt,evid,dv,mdv",
    "Identifier,TIME,Amount,Infusion Rate,Interdose_Interval,ADDITIONAL DOSES,steady "
    "state,compartment,Event ID,observation,ignored observation",
    "ID,time,AMOUNT,infusion_rate,interdose-interval,additional.doses,Steady State,CMT,event,Y,MDV",
]


@pytest.mark.parametrize("header", SPELLINGS)
def test_columns_go_by_the_names_of_nonmem_and_of_monolix_in_any_spelling(header):
    lines = "\n1,0,100,50,12,3,0,2,1,.,1\n1,1,.,.,.,.,.,.,0,8.5,0\n"
    assert same(events(header + lines), events(SPELLINGS[0] + lines))
    assert len(events(header + lines)) == 4
    order = np.random.default_rng(0).permutation(11)
    shuffled = "\n".join(
        ",".join(line.split(",")[i] for i in order) for line in (header + lines).split("\n")[:3]
    )
    assert same(events(shuffled), events(SPELLINGS[0] + lines))


def test_a_missing_evid_is_inferred_from_amt_rate_ss_and_mdv():
    text = "ID,TIME,AMT,RATE,SS,MDV,CMT\n1,0,5,,,,1\n1,1,,,,1,\n1,2,,,,,\n1,3,0,0,,0,\n1,4,0,9,1,,iv\n"
    kinds = [record.kind for record in parse_records(text).subjects[0].records]
    assert kinds == ["dose", "other", "observation", "observation", "dose"]


@pytest.mark.parametrize(
    ("written", "kind"),
    [
        ("0", "observation"),
        ("Dose", "dose"),
        ("1.0", "dose"),
        ("2", "other"),
        ("RESET", "reset"),
        ("reset_and_dose", "reset and dose"),
        ("Replace", "replace"),
    ],
)
def test_events_go_by_number_or_name(written, kind):
    amount = 5 if kind in ("dose", "reset and dose", "replace") else "."
    (record,) = parse_records(dose(EVID=written, AMT=amount)).subjects[0].records
    assert record.kind == kind


@pytest.mark.parametrize(("number", "program"), [(5, "rxode2"), (8, "mrgsolve")])
def test_replacement_goes_by_name_only(number, program):
    message = refused(dose(EVID=number))
    assert program in message and "write replace" in message


def test_additional_doses_come_at_exact_times():
    table = events("ID,TIME,AMT,CMT,II,ADDL\n1,0.1,5,1,0.1,9\n")
    assert table.time.tolist() == [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert set(table.amount) == {5.0}


def test_times_rates_and_durations_are_converted_from_the_files_unit():
    table = events("ID,TIME,AMT,CMT,II,ADDL,RATE\n1,1,5,1,1,1,48\n", time_unit="d")
    assert table.time.tolist() == [24, 48]
    assert table.rate.tolist() == [2, 2]
    assert events(dose(DUR=0.5), time_unit="d").duration.tolist() == [12]


@pytest.mark.parametrize("canceller", ["1,30,3,,,,,", "1,30,4,7,1,,,", "1,30,1,7,1,12,,1"])
def test_a_reset_or_a_dose_with_ss_1_cancels_additional_doses_that_are_still_to_come(canceller):
    """NONMEM Users Guide VIII: with SS 1 "pending additional doses are cancelled"; a reset starts afresh."""
    head = "ID,TIME,EVID,AMT,CMT,II,ADDL,SS\n1,0,1,5,1,10,9,\n1,1,1,6,2,10,3,\n"
    table = events(head + canceller + "\n1,35,1,8,1,10,1,\n")
    assert table.time[table.amount == 5].tolist() == [0, 10, 20]  # not the one at 30
    assert table.time[table.amount == 6].tolist() == [1, 11, 21]
    assert table.time[table.amount == 8].tolist() == [35, 45]
    kept = events(head + "1,30,1,7,1,12,,2\n")
    assert kept.time[kept.amount == 5].tolist() == [*range(0, 100, 10)]


def test_steady_states():
    table = events("ID,TIME,AMT,CMT,II,ADDL,SS\n1,0,100,2,12,2,1\n1,6,50,2,12,1,2\n")
    assert table.time.tolist() == [0, 6, 12, 18, 24]
    assert table.kind.tolist() == [STEADY, STEADY_ADDED, DOSE, DOSE, DOSE]
    assert table.interval.tolist() == [12, 12, 0, 0, 0]
    constant = events("ID,TIME,AMT,RATE,CMT,II,SS\n1,3,0,25,2,0,1\n")
    assert (constant.kind.tolist(), constant.amount.tolist(), constant.rate.tolist()) == ([STEADY], [0], [25])
    both = events("ID,TIME,EVID,AMT,CMT,II,SS\n1,0,4,100,2,12,1\n")
    assert both.kind.tolist() == [RESET, STEADY]


def test_rate_dur_and_the_route_say_how_long_an_infusion_lasts():
    def speed(**fields):
        table = events(dose(**fields))
        return table.rate[0], table.duration[0]

    def equal(a, b):
        return a == pytest.approx(b, rel=1e-15, nan_ok=True)

    assert equal(speed(RATE=2.5), (2.5, math.nan))
    assert equal(speed(DUR=2), (math.nan, 2))
    assert equal(speed(DUR=2, RATE=0), (math.nan, 2))
    assert equal(speed(RATE=0), (math.nan, 0))
    assert equal(speed(DUR=0), (math.nan, 0))
    assert equal(speed(RATE="."), (math.nan, math.nan))
    assert equal(speed(RATE=-1, CMT="slow"), (math.nan, math.nan))
    assert equal(speed(RATE=-2, CMT="timed"), (math.nan, math.nan))
    assert equal(speed(RATE=36, AMT=36, DOSE_UNIT="mg"), (36 * 18 / 1.1, math.nan))


def test_rates_that_the_route_does_not_declare_are_refused():
    assert 'its route "sc" declares neither rate nor duration' in refused(dose(RATE=-1))
    assert 'its route "slow" declares rate: add duration' in refused(dose(RATE=-2, CMT="slow"))
    assert 'its route "timed" declares duration: add rate' in refused(dose(RATE=-1, CMT="timed"))


@pytest.mark.parametrize(
    ("fields", "route"),
    [
        ({"CMT": 1}, "sc"),
        ({"CMT": "2"}, "iv"),
        ({"CMT": "central"}, "iv"),
        ({"CMT": "DEPOT"}, "sc"),
        ({"CMT": "iv"}, "iv"),
        ({"CMT": "slow"}, "slow"),
        ({"CMT": 4, "ROUTE": "timed"}, "timed"),
        ({"CMT": ".", "ROUTE": 3}, "slow"),
        ({"CMT": 0, "administration id": "IV"}, "iv"),
    ],
)
def test_a_dose_finds_its_route_by_number_or_name(fields, route):
    table = events(dose(**fields))
    assert MODEL.routes[table.route[0]] == route


def test_a_model_with_one_route_needs_neither_cmt_nor_route():
    model = dataclasses.replace(MODEL, routes=("iv",), route_targets=(1,), route_speeds=("",))
    (found,) = taken("ID,TIME,AMT\n1,0,5\n", model).courses
    assert found.events.route.tolist() == [0]


def test_every_dose_is_converted_from_its_own_unit():
    table = events(
        "ID,TIME,AMT,CMT,DOSE_UNIT\n1,0,5,1,MIU\n1,1,500,1,ug\n1,2,1.5,1,MIU/m2\n"
        "1,3,2,1,mcg/kg\n1,4,3,1,.\n1,4,2e6,2,IU\n"
    )
    assert table.amount == pytest.approx([5, 9 / 1.1, 1.5, 0.036 / 1.1, 3, 2], rel=1e-15)
    assert table.size.tolist() == [-1, -1, 1, 0, -1, -1]


def test_infusions_may_overlap():
    table = events("ID,TIME,AMT,CMT,DUR\n1,0,5,iv,10\n1,4,5,iv,10\n1,6,5,iv,0\n")
    assert table.time.tolist() == [0, 4, 6]
    assert table.duration.tolist() == [10, 10, 0]


def test_a_file_without_doses_gives_empty_event_tables():
    found = taken("ID,TIME,AMT,DV\n1,0,.,3\n2,0,,4\n")
    assert [len(course.events) for course in found.courses] == [0, 0]


IDS = [
    "20230000000000001",
    "20230000000000002",
    "01",
    "1",
    "1e5",
    "100000",
    "#5",
    "a, b",
    'so "x"',
    "NA",
    "é",
]


def test_an_id_is_text_with_every_digit_that_was_written():
    quoted = ['"' + name.replace('"', '""') + '"' for name in IDS]
    records = parse_records("ID,TIME,AMT\n" + "".join(f"{name},0,.\n{name},1,.\n" for name in quoted))
    assert [subject.id for subject in records.subjects] == IDS
    assert all(len(subject.records) == 2 for subject in records.subjects)


def test_one_number_is_one_subject_with_and_without_a_decimal_point_that_says_nothing():
    text = "ID,TIME,AMT\n1,0,.\n1.0,1,.\n 1 ,2,.\n1.,3,.\n1.10,0,.\n1.1,0,.\n-7.00,0,.\n-7,0,.\n"
    found = [(subject.id, len(subject.records)) for subject in parse_records(text).subjects]
    assert found == [("1", 4), ("1.10", 1), ("1.1", 1), ("-7.00", 2)]
    with pytest.raises(DataError, match=r'4:1 .*: subject "1\.0" had its last line in line 2'):
        parse_records("ID,TIME,AMT\n1,0,.\n2,0,.\n1.0,1,.\n")


# --- one schedule, many files


@st.composite
def courses(draw):
    """Courses of equal doses in hours: (start, amount, unit, route, period, count), by time of start."""
    number = st.decimals("0.01", "99", places=2, allow_nan=False)
    one = st.tuples(
        st.decimals(0, 400, places=2),
        number,
        st.sampled_from(["MIU", "IU", "MIU/m2", "IU/kg"]),
        st.sampled_from(["sc", "iv"]),
        st.decimals("0.05", 200, places=2),
        st.integers(1, 30),
    )
    return sorted(draw(st.lists(one, min_size=1, max_size=6)), key=lambda course: course[0])


def csv_of(doses, per_unit=1):
    lines = ["ID,TIME,AMT,DOSE_UNIT,ROUTE,II,ADDL"]
    for start, amount, unit, route, period, count in doses:
        repeat = (period * per_unit, count - 1) if count > 1 else (".", ".")
        lines.append(",".join(map(str, (1, start * per_unit, amount, unit, route, *repeat))))
    return "\n".join(lines) + "\n"


@settings(max_examples=60)
@given(courses(), st.sampled_from(["s", "min", "h", "d"]), st.sampled_from(["h", "min"]))
def test_a_schedule_of_the_language_written_as_records_is_the_same_event_table(doses, model_unit, file_unit):
    model = dataclasses.replace(MODEL, time_unit=model_unit)
    schedule = Schedule(
        tuple(
            Part(
                Fraction(amount),
                *(unit.split("/") if "/" in unit else (unit, "")),
                route,
                period=Fraction(period) / 24 if count > 1 else None,
                count=count,
                start=Fraction(start) / 24,
            )
            for start, amount, unit, route, period, count in doses
        )
    )
    expected = Schedule.parse(str(schedule)).events(model_unit, model.routes, model.dose_units, model.sizes)
    records = parse_records(csv_of(doses, 60 if file_unit == "min" else 1))
    (found,) = model.take(records, time_unit=file_unit).courses
    assert same(found.events, expected)


DISGUISES = {
    "BOM": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "CRLF": lambda text: text.replace("\n", "\r\n").encode(),
    "CR": lambda text: text.replace("\n", "\r").encode(),
    "semicolons": lambda text: text.replace(",", ";").encode(),
    "tabs": lambda text: text.replace(",", "\t").encode(),
    "quoted": lambda text: "\n".join(
        ",".join(f'"{field}"' for field in line.split(",")) for line in text.split("\n")[:-1]
    ).encode(),
    "spaces and blank lines": lambda text: text.replace(",", " , ").replace("\n", "\n\n").encode(),
    "comments": lambda text: ("# made by hand\n" + text.replace("\n", "\n# a line, of a comment\n")).encode(),
    "no end of line": lambda text: text.rstrip("\n").encode(),
}


@pytest.mark.parametrize("disguise", DISGUISES.values(), ids=DISGUISES)
def test_a_file_may_be_written_in_many_ways(disguise):
    text = "ID,TIME,AMT,CMT,II,ADDL,WT,note\n1,0,5,sc,12.5,3,70,.\n1,24,.,.,.,.,71,.\n2,0,7,iv,.,.,80,.\n"
    plain, other = (taken(content, interpolation="locf") for content in (text, disguise(text)))
    assert len(plain.courses) == len(other.courses) == 2
    for a, b in zip(plain.courses, other.courses, strict=True):
        assert same(a.events, b.events)
        assert (a.id, a.baseline, a.changes) == (b.id, b.baseline, b.changes)
        assert np.array_equal(a.observations.time, b.observations.time)
    assert (plain.used, plain.unused) == (other.used, other.unused) == (("WT",), ("note",))


def test_quoted_fields_may_hold_the_separator():
    found = taken('ID,TIME,AMT,CMT,"note, free"\n"a, b",0,5,1,"said ""no"", twice"\n')
    assert found.courses[0].id == "a, b"
    assert found.unused == ("note, free",)


GOOD = (
    "ID,TIME,AMT,RATE,CMT,ROUTE,DOSE_UNIT,EVID,MDV,II,ADDL,SS,DV,DVID,WT\n"
    "1,0,5,.,1,.,MIU,1,1,12,3,.,.,.,70\n"
    "1,6.5,.,.,.,.,.,0,0,.,.,.,3.5,1,71\n"
    "2,0,5,-1,4,slow,mg,4,1,24,.,1,.,.,80\n"
    '"b",48,2,,"pool",,,replace,,,,,,,80\n'
)
JUNK = st.binary(max_size=4) | st.sampled_from(
    '|-|\0|"|,|\n|\r|\t|;|e|9999999999999999999|nan|inf|1e999|1e-999|-1|3|4|NA|é|٣|\x1c|\u2028'.encode().split(
        b"|"
    )
)


@settings(max_examples=300)
@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 6), JUNK), min_size=1, max_size=4))
def test_a_corrupted_file_is_read_or_refused_by_a_sentence(changes):
    content = GOOD.encode()
    for at, length, junk in changes:
        content = content[:at] + junk + content[at + length :]
    try:
        found = taken(content, interpolation="nocb")
    except PkpdError as error:
        named = str(error).startswith("data.csv")
        assert named
    else:
        assert (
            sum(len(course.events) + len(course.observations.time) for course in found.courses) <= 2_000_004
        )
        assert all(np.isfinite(course.events.amount).all() for course in found.courses)


# --- covariates -----------------------------------------------------------------------------------

WEIGHTS = "ID,TIME,AMT,wt,SEX\n1,0,.,70,F\n1,5,.,.,F\n1,10,.,80,F\n1,20,.,80,F\n1,30,.,60,F\n"


def test_covariates_run_by_the_rule_that_is_asked_for():
    locf, nocb, linear = (course(WEIGHTS, interpolation=rule) for rule in ("locf", "nocb", "linear"))
    assert locf.baseline == nocb.baseline == linear.baseline == {"WT": 70}
    assert locf.changes == ((10, "WT", 80, FIRST), (30, "WT", 60, FIRST))
    assert [change[:3] for change in nocb.changes] == [(0, "WT", 80), (20, "WT", 60)]
    # the output of a line comes before what holds from there on
    places = [tuple(place) for place in nocb.observations.place.tolist()]
    assert [place == LAST for place in places] == [False, True, True, False, True]
    assert [change[3] for change in nocb.changes] > [places[0], places[3]]
    assert linear.changes == () == tuple(locf.knots) == tuple(nocb.knots)
    times, values = linear.knots["WT"]
    assert (times.tolist(), values.tolist()) == ([0, 10, 20, 30], [70, 80, 80, 60])


def test_a_covariate_that_varies_needs_a_rule_and_one_that_does_not_needs_none():
    with pytest.raises(InputError, match=r"data.csv:4: WT changes within a subject.*locf.*nocb.*linear"):
        taken(WEIGHTS)
    with pytest.raises(InputError, match='not "spline"'):
        taken(WEIGHTS, interpolation="spline")
    found = taken("ID,TIME,AMT,WT\n1,0,.,70\n1,5,.,70\n2,0,.,90\n")
    assert [course.baseline["WT"] for course in found.courses] == [70, 90]
    assert all(course.changes == () for course in found.courses)


@pytest.mark.parametrize("rule", ["locf", "nocb"])
def test_lines_of_one_time_have_their_own_covariates_in_the_order_of_the_file(rule):
    """An output above the dose, the dose, and an output below it: none sees the value of another, whatever
    comes later."""
    text = "ID,TIME,AMT,CMT,WT\n1,0,,,70\n1,24,,,71\n1,24,5,1,72\n1,24,,,73\n1,30,,,74\n"
    found = course(text, interpolation=rule)
    assert found.observations.time.tolist() == [0, 24, 24, 30]
    places = [tuple(place) for place in found.observations.place.tolist()]
    at_dose = of_event(0)
    moments = [(0, places[0]), (24, places[1]), (24, at_dose), (24, places[2]), (30, places[3])]
    for moment, expected in zip(moments, range(70, 75), strict=True):
        earlier = [value for time, _, value, place in found.changes if (time, place) < moment]
        assert [found.baseline["WT"], *earlier][-1] == expected


def test_other_columns_are_named_and_not_read():
    found = taken("ID,TIME,AMT,WT,SEX,visit\n1,0,.,70,female,first\n")
    assert (found.used, found.unused) == (("WT",), ("SEX", "visit"))


@pytest.mark.parametrize(
    ("line", "place", "words"),
    [
        ("1,3,.,heavy", "3:7 (WT)", '"heavy" is not a number'),
        ("1,3,.,0.5", "3:7 (WT)", "outside its bounds 1 .. 500"),
        ("1,0,.,71", "3:7 (WT)", "two values at one time, 70 and 71"),
        ("1,3,5,70\n1,3,.,70\n1,3,.,71\n1,3,.,72", "6:7 (WT)", "two values at one time, 71 and 72"),
        ("2,0,.,.", "3:7 (WT)", 'subject "2" has no value of WT'),
    ],
)
def test_covariates_that_cannot_be_are_refused(line, place, words):
    model = dataclasses.replace(MODEL, routes=("iv",), route_targets=(1,), route_speeds=("",))
    message = refused(f"ID,TIME,AMT,WT\n1,0,.,70\n{line}\n", model, interpolation="locf")
    assert message.startswith(f"data.csv:{place}: ")
    assert words in message


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "place", "words"),
    [
        ({"AMT": -5}, "2:5 (AMT)", "-5 is negative"),
        ({"AMT": "nan"}, "2:5 (AMT)", 'written "."'),
        ({"AMT": "1e9", "DOSE_UNIT": "MIU"}, "2:11 (DOSE_UNIT)", "beyond anything given (at most 10000 MIU)"),
        ({"AMT": "1e9"}, "2:5 (AMT)", "beyond anything given"),
        ({"AMT": "1e999"}, "2:5 (AMT)", "out of any sensible range"),
        ({"AMT": 0, "EVID": 1}, "2:5 (AMT)", "a dose of 0"),
        ({"AMT": ".", "EVID": 1}, "2:5 (AMT)", "a dose without an amount"),
        ({"AMT": "ten"}, "2:5 (AMT)", '"ten" is not a number'),
        ({"AMT": "1 MIU"}, "2:5 (AMT)", "the unit of a dose in a column DOSE_UNIT"),
        ({"AMT": "9" * 90_000}, "2:5 (AMT)", "longer"),
        ({"AMT": "__import__('os')"}, "2:5 (AMT)", "is not a number"),
        ({"ID": "."}, "2:1 (ID)", "belongs to no subject"),
        ({"TIME": "."}, "2:3 (TIME)", "the time is missing"),
        ({"TIME": "08:30"}, "2:3 (TIME)", "a time of day"),
        ({"TIME": 876_601}, "2:3 (TIME)", "more than 100 years"),
        ({"ADDL": 4}, "2:9 (ADDL)", "ADDL 4 without an interval II"),
        ({"ADDL": 4, "II": 876_600}, "2:3 (TIME)", "more than 100 years with ADDL and II"),
        ({"ADDL": 1_000_000, "II": "0.5"}, "2:9 (ADDL)", "more than 1000000 doses"),
        ({"ADDL": "1e30", "II": "0.5"}, "2:9 (ADDL)", "more than 1000000 doses"),
        ({"ADDL": -1, "II": 12}, "2:9 (ADDL)", "negative"),
        ({"ADDL": 1.5, "II": 12}, "2:9 (ADDL)", "not a whole number"),
        ({"II": 12}, "2:9 (II)", "without ADDL or SS"),
        ({"SS": 1}, "2:9 (SS)", "SS 1 without an interval II"),
        ({"SS": 3, "II": 12}, "2:9 (SS)", "none of 0, 1, 2"),
        ({"SS": 1, "AMT": 0, "RATE": 5, "II": 12}, "2:13 (II)", "neither II nor ADDL"),
        ({"RATE": -3}, "2:9 (RATE)", "neither -1 nor -2"),
        ({"RATE": 1e-9}, "2:9 (RATE)", "more than 100 years"),
        ({"RATE": 5, "DOSE_UNIT": "MIU/m2"}, "2:9 (RATE)", "give the length as DUR"),
        ({"RATE": 5, "DUR": 2}, "2:11 (DUR)", "leave one empty"),
        ({"DUR": -2}, "2:9 (DUR)", "negative"),
        ({"DUR": 1e9}, "2:9 (DUR)", "more than 100 years"),
        ({"CMT": 9}, "2:7 (CMT)", "there is no compartment 9: the states of this model are 1 to 4"),
        ({"CMT": 1.5}, "2:7 (CMT)", "there is no compartment 1.5"),
        ({"CMT": -1}, "2:7 (CMT)", "switching a compartment off"),
        ({"CMT": "centrl"}, "2:7 (CMT)", 'did you mean "central"?'),
        ({"CMT": "effect"}, "2:7 (CMT)", "no route of this model enters effect"),
        ({"CMT": "pool"}, "2:7 (CMT)", "say by a column ROUTE which one it is, of slow, timed"),
        ({"CMT": "."}, "2:5 (AMT)", "several routes are in this model"),
        ({"CMT": 1, "ROUTE": "iv"}, "2:9 (ROUTE)", 'the route "iv" enters central, not CMT 1'),
        ({"ROUTE": "im"}, "2:9 (ROUTE)", 'no route "im"'),
        ({"ROUTE": 7}, "2:9 (ROUTE)", "no route 7; this model has 1 (sc)"),
        ({"DOSE_UNIT": "mmg"}, "2:9 (DOSE_UNIT)", '"mmg" is not a dose unit'),
        ({"DOSE_UNIT": "nmol"}, "2:9 (DOSE_UNIT)", "cannot enter by route"),
        ({"EVID": 7}, "2:9 (EVID)", "is none of 0 (observation)"),
        ({"EVID": 0}, "2:5 (AMT)", "a line of kind observation has AMT 5"),
        ({"EVID": 3}, "2:5 (AMT)", "a line of kind reset has AMT 5"),
        ({"EVID": 2, "AMT": 0, "II": 5}, "2:11 (II)", "which is for doses"),
        ({"EVID": "replace", "AMT": "."}, "2:5 (AMT)", "without the new value"),
        ({"EVID": "replace", "CMT": "iv"}, "2:7 (CMT)", "needs the state in CMT"),
        ({"EVID": "replace", "DOSE_UNIT": "mg"}, "2:17 (DOSE_UNIT)", "leave DOSE_UNIT empty"),
        ({"DV": 4.5}, "2:9 (DV)", "give it a line of its own, or MDV 1"),
        ({"MDV": 2}, "2:9 (MDV)", "none of 0, 1"),
        ({"CENS": 7}, "2:9 (CENS)", "none of -1, 0, 1"),
        ({"DATE": "2026-01-01"}, "1:17 (DATE)", "dates are not read"),
        ({"C": "C"}, "2:9 (C)", "marked to be ignored"),
        ({"adm": 1, "route": 1}, "1:21 (route)", "both ROUTE"),
    ],
)
def test_a_wrong_field_is_named_with_its_place_and_reason(fields, place, words):
    message = refused(dose(**fields))
    assert message.startswith(f"data.csv:{place}: ")
    assert words in message
    assert len(message) < 600


@pytest.mark.parametrize(
    ("content", "place", "words"),
    [
        (b"", "", "is empty"),
        (b"\xef\xbb\xbf\r\n \n", "", "is empty"),
        (b"ID,TIME,AMT\n", "", "no records"),
        (b"ID,TIME,DV\n1,0,3\n", "1:1", "no column AMT (or amount)"),
        (b"ID,TIME,AMNT\n1,0,3\n", "1:1", 'is it "AMNT"?'),
        (b"ID TIME AMT\n1 0 3\n", "1:1", "separate columns by commas"),
        (b"ID;TIME,AMT\n", "1:1", "commas and semicolons"),
        (b"ID,TIME,AMT,Wt,WT\n1,0,,1,1\n", "1:16", 'the column "WT" stands twice'),
        (b"ID,TIME,AMT,id\n", "1:13", "stands twice"),
        (b"ID,TIME,AMT,\n1,0,5,\n", "1:13", "column 4 has no name"),
        (b"ID,TIME,AMT\n1,0\n", "2:1", "2 fields where the header has 3"),
        (b"ID,TIME,AMT\n1,0,2,5\n", "2:1", "decimal comma counts as two"),
        (b"ID;TIME;AMT\n1;0;2,5\n", "2:5 (AMT)", '"2,5" has a decimal comma; write 2.5'),
        (b"ID,TIME,AMT\n1,0,5\n\xe9,0,5\n", "3:1", 'byte 0xE9 is not UTF-8 (in Latin-1 it would be "é")'),
        (b"ID,TIME,AMT\n1,0,5\0\n", "2:6", "a zero byte"),
        ("ID,TIME,AMT\n1,0,5\n".encode("utf-16"), "1:1", "UTF-16"),
        (b'ID,TIME,AMT\n"1,0,5\n2,0,5\n', "2:1", "is a quotation mark missing?"),
        (b'ID,TIME,AMT\n"1"x,0,5\n', "2:1", "is a quotation mark missing?"),
        (b"ID,TIME,AMT\n1,0," + b"5" * 2_000_000 + b"\n", "2:1", "a record is far shorter"),
        (b"ID,TIME,AMT\n1,5,.\n1,4,.\n", "3:3 (TIME)", "time goes back: line 2 is at 5"),
        (b"ID,TIME,AMT,EVID\n1,5,.,0\n1,0,.,3\n", "3:3 (TIME)", "also after a reset it has to go on"),
        (b"ID,TIME,AMT\n1,0,.\n2,0,.\n1,1,.\n", "4:1 (ID)", 'subject "1" had its last line in line 2'),
        (b'ID,TIME,"a,""b",AMT\n"x, y",0,"a,""b",z\n', "2:18 (AMT)", '"z" is not a number'),
    ],
)
def test_a_wrong_file_is_named_with_its_place_and_reason(content, place, words):
    message = refused(content)
    assert message.startswith(f"data.csv:{place}" if place else "data.csv ")
    assert words in message


def test_every_wrong_line_is_counted_and_the_first_25_are_shown():
    lines = ["ID,TIME,AMT,CMT"] + [f"{i},0,5,1" if i % 2 else f"{i},x,-5,1" for i in range(100)]
    lines[60] = "59,0,5,1,7"
    message = refused("\n".join(lines))
    assert message.startswith("data.csv: 51 problems, nothing was read\n")
    shown = message.splitlines()[1:]
    assert [line.split(":")[1] for line in shown[:25]] == [str(line) for line in range(2, 51, 2)]
    assert shown[25:] == ["  and 26 more"]


def test_what_one_model_cannot_take_another_may():
    records = parse_records(dose(CMT=4, RATE=-1))
    with pytest.raises(DataError):
        MODEL.take(records)
    other = dataclasses.replace(MODEL, routes=("slow",), route_targets=(3,), route_speeds=("rate",))
    assert len(other.take(records).courses) == 1


def test_a_subject_by_itself_has_the_same_events():
    records = parse_records("ID,TIME,AMT,CMT\n1,0,5,1\n2,3,7,iv\n")
    for subject, found in zip(records.subjects, MODEL.take(records).courses, strict=True):
        assert same(MODEL.events(records, subject), found.events)


def test_files_are_read_from_disk_or_named(tmp_path):
    path = tmp_path / "trial.csv"
    path.write_bytes(dose().encode())
    assert read_records(path).subjects[0].id == "1"
    with pytest.raises(DataError, match="there is no such file"):
        read_records(tmp_path / "other.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_records(tmp_path)


def test_fields_know_where_they_begin():
    table = parse_table('a,"b,""c",d\n1,"2,""x""",3\n')
    table.wrong(table.lines[0], 2, "so")
    with pytest.raises(DataError, match=r"<records>:2:13 \(d\): so"):
        table.problems.stop_if_any()


@pytest.mark.long
def test_a_million_doses_and_hostile_numbers_are_quick():
    started = time.process_time()
    assert len(events("ID,TIME,AMT,CMT,II,ADDL\n1,0,5,1,0.25,999999\n")) == 1_000_000
    refused("ID,TIME,AMT\n1,0," + "1" * 99_000 + "x\n")
    refused("ID,TIME,AMT\n1,0," + "," * 99_000 + "\n")
    assert time.process_time() - started < 10  # of the processor: quadratic work would take minutes


def test_doses_are_counted_over_the_whole_file(monkeypatch):
    """Three of the first subject and four of the second are one too many."""
    monkeypatch.setattr("pkpd.dosing.intake._MOST_IN_FILE", 6)
    text = "ID,TIME,AMT,CMT,II,ADDL\n1,0,5,1,1,2\n1,9,.,.,.,.\n2,0,5,1,1,{}\n2,9,.,.,.,.\n"
    assert len(taken(text.format(2)).courses) == 2
    assert "more than 6 doses up to this subject" in refused(text.format(3))
