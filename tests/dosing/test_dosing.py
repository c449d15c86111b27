"""The schedule language says what a pharmacologist means by it: the doses come at the stated times, print and
parse are inverses, and every text that is not a schedule gets a sentence with its place and what could stand
there."""

import math
import time
from dataclasses import FrozenInstanceError
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from pkpd.core.errors import ScheduleError
from pkpd.dosing import Dose, EventTable, Part, Schedule
from pkpd.dosing.schedule import LONG


def days(text: str) -> list[float]:
    return [float(dose.time_days) for dose in Schedule.parse(text).doses()]


# --- what is meant ---


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2 MIU sc once", [0]),
        ("1 MIU sc daily x5", [0, 1, 2, 3, 4]),
        ("1 MIU sc daily x3 every 28 d x2", [0, 1, 2, 28, 29, 30]),
        ("1 MIU sc every 3 d for 9 d", [0, 3, 6]),
        ("1 MIU sc every 3 d for 10 d", [0, 3, 6, 9]),
        ("1 MIU sc every other day x3", [0, 2, 4]),
        ("1 MIU sc twice daily x3", [0, 0.5, 1]),
        ("1 MIU sc 3 times a day x4", [0, 1 / 3, 2 / 3, 1]),
        ("1 MIU sc q12h x3", [0, 0.5, 1]),
        ("1 MIU sc three times a week for 2 weeks", [0, 2, 4, 7, 9, 11]),
        ("1 MIU sc three times a week x4", [0, 2, 4, 7]),
        ("1 MIU sc twice a week for 10 d", [0, 3, 7]),
        ("1 MIU sc five times a week x6", [0, 1, 2, 3, 4, 7]),
        ("1 MIU sc at 0, 24, 48 h", [0, 1, 2]),
        ("1 MIU sc at 0 h, 1, 2 d", [0, 1, 2]),
        ("1 MIU sc at 0, 2 d every 7 d x2", [0, 2, 7, 9]),
        ("1 MIU sc daily x2 every 7 d x2 every 28 d x2", [0, 1, 7, 8, 28, 29, 35, 36]),
        ("1 MIU sc once daily x5 days every 28 days x2 cycles", [0, 1, 2, 3, 4, 28, 29, 30, 31, 32]),
        (
            "1 MIU sc every other day x2 weeks every 4 weeks x2",
            [0, 2, 4, 6, 8, 10, 12, 28, 30, 32, 34, 36, 38, 40],
        ),
        ("none", []),
        ("placebo", []),
    ],
)
def test_doses_come_at_the_stated_times(text: str, expected: list[float]) -> None:
    assert days(text) == pytest.approx(expected, rel=1e-15)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # one own interval after the last dose
        ("1 MIU sc daily x5 then weekly x2", [0, 1, 2, 3, 4, 11, 18]),
        ("1 MIU sc weekly x2 then daily x2", [0, 7, 8, 9]),
        ("1 MIU sc daily x5 then three times a week x4", [0, 1, 2, 3, 4, 7, 9, 11, 14]),
        ("1 MIU sc daily x2 then 2 MIU daily x2 every 21 d x2", [0, 1, 2, 3, 23, 24]),
        # after cycles, when the next one would begin
        (
            "1 MIU sc daily x2 every 28 d x2 then 2 MIU sc daily x2 every 28 d x2",
            [0, 1, 28, 29, 56, 57, 84, 85],
        ),
        ("1 MIU sc daily x2 every 28 d x2 then weekly x2", [0, 1, 28, 29, 56, 63]),
        ("1 MIU sc daily x2 every 7 d x2 every 28 d x2 then daily x1", [0, 1, 7, 8, 28, 29, 35, 36, 56]),
        ("1 MIU sc at 1, 2 d every 28 d x2 then daily x1", [1, 2, 29, 30, 56]),
        ("1 MIU sc daily x2 every 28 d x1 then daily x1 then daily x1", [0, 1, 28, 29]),
        ("1 MIU sc daily x2 every 7 d x2 from day 3 then daily x1", [3, 4, 10, 11, 17]),
        # unless it is said otherwise
        ("1 MIU sc daily x2 every 28 d x2 then daily x2 after 1 d", [0, 1, 28, 29, 30, 31]),
        ("1 MIU sc daily x2 every 28 d x2 then daily x2 from day 40", [0, 1, 28, 29, 40, 41]),
        ("1 MIU sc daily x2 then daily x2 from day 21", [0, 1, 21, 22]),
        ("1 MIU sc daily x2 then from day 21 daily x2", [0, 1, 21, 22]),
        ("1 MIU sc daily x2 then once after 3 d", [0, 1, 4]),
        ("1 MIU sc daily x2 then at 0, 2 d from 48 h", [0, 1, 2, 4]),
        # `and` begins a clock of its own, `then` binds tighter
        ("1 MIU sc once and 2 MIU sc daily x2 then daily x1", [0, 0, 1, 2]),
        ("4 MIU iv once + 1 MIU sc daily x2 from day 1", [0, 1, 2]),
    ],
)
def test_then_and_and(text: str, expected: list[float]) -> None:
    assert days(text) == expected


def test_then_inherits_what_is_not_said_anew() -> None:
    doses = Schedule.parse(
        "10 mg/kg iv over 2 h once then daily x1 then 5 mg/kg daily x1 then sc daily x1"
    ).doses()
    assert [(dose.amount, dose.unit, dose.per, dose.route) for dose in doses] == [
        (10, "mg", "kg", "iv"),
        (10, "mg", "kg", "iv"),
        (5, "mg", "kg", "iv"),
        (5, "mg", "kg", "sc"),
    ]
    # an infusion belongs to its route
    assert [dose.duration_days for dose in doses] == [Fraction(1, 12)] * 3 + [None]


def test_stated_and_unstated_infusion_times_differ() -> None:
    infusion, bolus, model = (
        Schedule.parse(f"1 mg iv {how} once").doses()[0] for how in ("over 90 min", "bolus", "")
    )
    assert (infusion.duration_days, bolus.duration_days, model.duration_days) == (Fraction(1, 16), 0, None)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("1 MIU sc daily x5 every 28 d x3", None),
        ("1.5 MIU sc daily x5 then weekly x7", None),
        ("1 MIU sc daily x5 every 28 d x2 then 2 MIU sc daily x5 every 28 d x4", None),
        ("1 MIU sc daily x5 every 28 d x2 then daily x5 after 1 d", None),
        ("2 MIU sc once", None),
        ("10 mg iv over 2 h every 12 h x6", None),
        ("4 MIU iv once and 1 MIU sc daily x5 from day 1", None),
        ("1 MIU sc three times a week for 9 weeks", None),
        ("0.26 MIU/m2 sc every 3 d for 60 d", "0.26 MIU/m2 sc every 3 d x20"),
        ("1 MIU SC At 0, 24, 48 h", "1 MIU sc at 0, 1, 2 d"),
        ("  0.260MIU / m^2\tsc\r\nq12h x 2 ", "0.26 MIU/m2 sc every 12 h x2"),
        ("5 mcg/kg iv once every 28 d x3", "5 ug/kg iv every 28 d x3"),
        (
            "1 MIU sc daily x2 then 1 MIU sc daily x2 from 504 h",
            "1 MIU sc daily x2 then daily x2 from day 21",
        ),
        ("1e6 IU sc once from day 0", "1000000 IU sc once"),
        ("1 MIU s.c. qod x2, then weekly x2", "1 MIU sc every 2 d x2 then weekly x2"),
        ("1 MIU sc every 0.3 d x2", "1 MIU sc every 0.3 d x2"),
        ("Placebo", "none"),
    ],
)
def test_canonical_print(text: str, printed: str | None) -> None:
    assert str(Schedule.parse(text)) == (printed or text)


@pytest.mark.parametrize(
    ("text", "when"),
    [
        (
            "1 MIU sc daily x5 every 28 d x2 then 2 MIU sc daily x5 every 28 d x4",
            "days 0-4, 28-32, 56-60, 84-88, 112-116, 140-144",
        ),
        ("1 MIU sc daily x5 every 28 d x26", "days 0-4, 28-32, 56-60, ..., 700-704"),
        (
            "1 MIU sc daily x5 every 28 d x9 then 2 MIU sc weekly x2",
            "days 0-4, 28-32, 56-60, ..., 224-228; 252, 259",
        ),
        ("1 MIU sc daily x5 then weekly x3", "days 0-4, 11, 18, 25"),
        ("1 mg iv every 12 h x6", "days 0-2 (up to 2 a day)"),
        ("1 MIU sc at 0, 36 h", "days 0, 1.5"),
        ("1 MIU sc once from day 3", "day 3"),
        ("none", "no dose"),
    ],
)
def test_days_of_the_doses_are_listed_for_people(text: str, when: str) -> None:
    assert Schedule.parse(text).when == when


def test_numbers_are_exact() -> None:
    schedule = Schedule.parse("0.26 MIU/m2 sc every 0.1 d x11")
    assert schedule.parts[0].amount == Fraction(26, 100)
    assert schedule.doses()[-1].time_days == 1
    assert schedule.total("MIU/m2") == 2.86
    assert schedule.total("kIU/m2") == 2860


# --- print and parse are inverses ---

AMOUNTS = (
    st.decimals("0.000001", "5000", allow_nan=False, allow_infinity=False)
    .map(Fraction)
    .filter(lambda x: x > 0)
)
MINUTES = st.integers(1, 60 * 24 * 60).map(lambda n: Fraction(n, 1440))
DECIMAL_DAYS = st.decimals("0.001", "60", places=3).map(Fraction)
TIMES = MINUTES | DECIMAL_DAYS | st.sampled_from([Fraction(1), Fraction(7), Fraction(28), Fraction(1, 2)])
WEEKLY = [(0, 3), (0, 2, 4), (0, 1, 2, 3, 4)]


@st.composite
def parts(draw: st.DrawFn, first: bool) -> Part:
    then = not first and draw(st.booleans())
    shape = draw(st.sampled_from(["once", "at", "interval", "week"]))
    offsets, period, count = (Fraction(0),), None, 1
    if shape == "at":
        offsets = tuple(sorted(draw(st.sets(st.just(Fraction(0)) | MINUTES, min_size=1, max_size=4))))
        count = len(offsets)
    elif shape == "interval":
        period, count = draw(TIMES), draw(st.integers(1, 9))
    elif shape == "week":
        offsets = tuple(Fraction(day) for day in draw(st.sampled_from(WEEKLY)))
        period, count = Fraction(7), draw(st.integers(1, 12))
    cycles: list[tuple[Fraction, int]] = []
    length = Fraction(60) if period is None else count * period
    for _ in range(draw(st.integers(0, 2))):
        cycles.append((length + draw(TIMES), draw(st.integers(1, 3))))
        length += cycles[-1][0] * cycles[-1][1]
    start, after = (None, None) if then else (draw(st.just(Fraction(0)) | TIMES), None)
    if then and (shape in ("once", "at") or draw(st.booleans())):
        start, after = (None, draw(TIMES)) if draw(st.booleans()) else (5000 + draw(TIMES), None)
    return Part(
        amount=draw(AMOUNTS),
        unit=draw(st.sampled_from(["IU", "kIU", "MIU", "ng", "ug", "mg", "pmol", "nmol", "umol"])),
        per=draw(st.sampled_from(["", "m2", "kg"])),
        route=draw(st.sampled_from(["sc", "iv", "Depot_2", "oral"])),
        duration=draw(st.none() | st.just(Fraction(0)) | TIMES),
        offsets=offsets,
        period=period,
        count=count,
        cycles=tuple(cycles),
        joined="then" if then else "and",
        start=start,
        after=after,
    )


@st.composite
def schedules(draw: st.DrawFn) -> Schedule:
    try:
        return Schedule(tuple(draw(parts(first=i == 0)) for i in range(draw(st.integers(0, 4)))))
    except ScheduleError:
        # a "then" that would go back in time
        assume(False)
        raise


@given(schedules())
def test_parse_is_the_inverse_of_print(schedule: Schedule) -> None:
    again = Schedule.parse(str(schedule))
    assert again == schedule
    assert hash(again) == hash(schedule)
    short = f"Schedule.parse({str(schedule)!r})"
    assert repr(schedule) == short or (
        len(str(schedule)) > LONG and repr(schedule).startswith("<Schedule of ")
    )


TEXT_OF_WORDS = (
    "1 0.26 2 MIU MIU/m2 mg/kg IU sc iv po once daily weekly x3 x2 every 28 d 12 h for 9 weeks then "
    "and + from day 21 "
    "after 5 at 0, 24, 48 three times a week twice daily q12h other over bolus none placebo bid"
)
WORDS = TEXT_OF_WORDS.split()


def parse_or_sentence(text: str) -> Schedule | str:
    try:
        return Schedule.parse(text)
    except ScheduleError as error:
        return str(error)


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join))
@settings(max_examples=500)
def test_printing_is_idempotent_and_soup_of_words_is_a_schedule_or_a_sentence(text: str) -> None:
    schedule = parse_or_sentence(text)
    if isinstance(schedule, str):
        assert schedule.startswith("<schedule>:1:")
    else:
        assert Schedule.parse(str(schedule)) == schedule
        assert str(Schedule.parse(str(schedule))) == str(schedule)


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda b: b.decode("latin-1")))
def test_any_text_is_a_schedule_or_a_sentence(text: str) -> None:
    answer = parse_or_sentence(text)
    assert all(character.isprintable() or character == "\n" for character in str(answer))


# --- a table made in Python ---


@given(schedules())
def test_from_doses_gives_the_same_doses(schedule: Schedule) -> None:
    doses = schedule.doses()
    again = Schedule.from_doses(doses)

    def key(dose: Dose) -> tuple:
        return (
            dose.time_days,
            dose.amount,
            dose.unit,
            dose.per,
            dose.route,
            dose.duration_days or -1,
            dose.duration_days is None,
        )

    assert sorted(map(key, again.doses())) == sorted(map(key, doses))
    assert Schedule.parse(str(again)) == again


def test_from_doses_is_written_as_one_would_write_it() -> None:
    doses = [Dose(day, 1, "MIU", "sc") for day in (1, 2, 3)] + [
        Dose(0, "0.26", "MIU/m2", "iv", duration_days=0)
    ]
    assert str(Schedule.from_doses(doses)) == "1 MIU sc daily x3 from day 1 and 0.26 MIU/m2 iv bolus once"
    twice = Schedule.from_doses([Dose(0, 1, "MIU", "sc"), Dose(0, 1, "MIU", "sc")])
    assert str(twice) == "1 MIU sc once and 1 MIU sc once"
    assert Schedule.from_doses([]) == Schedule.none() == Schedule.parse("none")


def test_a_float_counts_as_the_decimal_it_is_written_as() -> None:
    dose = Dose(0.1, 0.26, "MIU/m2", "sc", duration_days=Decimal("0.5"))
    assert (dose.time_days, dose.amount, dose.duration_days) == (
        Fraction(1, 10),
        Fraction(26, 100),
        Fraction(1, 2),
    )
    assert dose == Dose("0.1", "0.26", "MIU", "SC", "0.5", per="m2")


@pytest.mark.parametrize("bad", [0, -1, math.nan, math.inf, "1e9", "ten", None, True, Fraction(1, 3)])
def test_a_dose_that_cannot_be_is_refused(bad: object) -> None:
    with pytest.raises(ScheduleError):
        Dose(0, bad, "MIU", "sc")  # type: ignore[arg-type]


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(ScheduleError, match="sensible range"):
        Dose(0, 10**5000, "MIU", "sc")


def test_schedules_are_frozen() -> None:
    schedule = Schedule.parse("1 MIU sc daily x5")
    with pytest.raises(FrozenInstanceError):
        schedule.parts = ()  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        schedule.doses()[0].amount = Fraction(2)  # type: ignore[misc]


# --- changing a schedule ---


@given(schedules(), st.sampled_from(["2", "0.5", "1.1", 0.1, 3]), st.integers(0, 100))
def test_scaling_scales_doses_and_shifting_shifts_times(
    schedule: Schedule, factor: str | float, shift: int
) -> None:
    exact = Fraction(str(factor))
    assume(all(part.amount * exact < 9000 for part in schedule.parts))
    before, after = schedule.doses(), schedule.scaled(factor).shifted(shift).doses()
    assert [dose.time_days + shift for dose in before] == [dose.time_days for dose in after]
    for old, new in zip(before, after, strict=True):
        assert float(new.amount) == pytest.approx(float(old.amount * exact), rel=1e-16)


def test_scaling_and_shifting_refuse_what_has_no_meaning() -> None:
    schedule = Schedule.parse("1 MIU sc daily x5 from day 3")
    assert str(schedule.shifted(-3)) == "1 MIU sc daily x5"
    for wrong in (lambda: schedule.shifted(-4), lambda: schedule.scaled(0), lambda: schedule.scaled(-1)):
        with pytest.raises(ScheduleError):
            wrong()


def test_adding_schedules_puts_them_side_by_side() -> None:
    one, other = Schedule.parse("4 MIU iv once"), Schedule.parse("1 MIU sc daily x5 then weekly x2")
    assert one + other == Schedule.parse(f"{one} and {other}")
    assert one + Schedule.none() == one


def test_span_counts_infusions_and_total_refuses_to_add_apples_and_pears() -> None:
    assert Schedule.parse("1 MIU sc daily x5 every 28 d x3").span == 60
    assert Schedule.parse("1 mg iv over 36 h daily x2").span == 2.5
    assert Schedule.none().span == 0
    assert Schedule.none().total("mg") == 0
    mixed = Schedule.parse("1 MIU sc once and 500000 IU iv once")
    assert mixed.total("MIU") == 1.5
    for text in ("1 mg sc once", "1 MIU/m2 sc once"):
        with pytest.raises(ScheduleError, match="without a model"):
            (mixed + Schedule.parse(text)).total("MIU")


# --- for the integrator ---

MODEL = {
    "time_unit": "h",
    "routes": ("sc", "iv"),
    "dose_units": {"sc": {"IU": 1e-6, "MIU": 1.0}, "iv": {"IU": 1e-6, "MIU": 1.0, "mg": 16.0}},
    "sizes": {"m2": 7, "kg": -1},
}


def test_events_in_the_units_of_the_model() -> None:
    table = Schedule.parse(
        "500000 IU sc daily x2 and 2 mg iv over 2 h once from day 1 + 1 MIU/m2 IV bolus once"
    ).events(**MODEL)
    np.testing.assert_array_equal(table.time, [0, 0, 24, 24])
    np.testing.assert_array_equal(table.amount, [0.5, 1, 0.5, 32])
    np.testing.assert_array_equal(table.route, [0, 1, 0, 1])
    np.testing.assert_array_equal(table.duration, [math.nan, 0, math.nan, 2])
    np.testing.assert_array_equal(table.size, [-1, 7, -1, -1])
    kinds = [array.dtype for array in (table.time, table.amount, table.duration, table.route, table.size)]
    assert kinds == [np.float64] * 3 + [np.int64] * 2
    assert all(
        array.flags.c_contiguous
        for array in (table.time, table.amount, table.duration, table.route, table.size)
    )
    assert len(Schedule.none().events(**MODEL)) == len(EventTable.empty()) == 0


@given(schedules(), st.sampled_from(["min", "h", "d", "week"]))
def test_event_times_are_the_exact_times_correctly_rounded(schedule: Schedule, unit: str) -> None:
    units = {"IU", "kIU", "MIU", "ng", "ug", "mg", "pmol", "nmol", "umol"}
    routes = ("sc", "iv", "Depot_2", "oral")
    table = schedule.events(
        unit, routes, {route: dict.fromkeys(units, 1.0) for route in routes}, {"m2": 0, "kg": 1}
    )
    per_day = {"min": Fraction(1440), "h": Fraction(24), "d": Fraction(1), "week": Fraction(1, 7)}[unit]
    doses = schedule.doses()
    assert table.time.tolist() == [float(dose.time_days * per_day) for dose in doses]
    assert table.amount.tolist() == [float(dose.amount) for dose in doses]
    assert [routes[i] for i in table.route] == [dose.route for dose in doses]


def test_times_too_fine_for_whole_ticks_are_still_exact() -> None:
    schedule = Schedule.parse("1 MIU sc every 0.12345678901234567 d x3 every 1.0000000000001 d x2")
    table = schedule.events(**MODEL)
    assert table.time.tolist() == [float(dose.time_days * 24) for dose in schedule.doses()]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1 MIU svc once", ['no route "svc"', "sc, iv", 'did you mean "sc"']),
        ("1 mg sc once", ["1 mg", "it takes IU, MIU"]),
        ("1 MIU/kg sc once", ["body weight", "without /kg", "covariate weight"]),
    ],
)
def test_events_that_the_model_cannot_take(text: str, said: list[str]) -> None:
    with pytest.raises(ScheduleError) as error:
        Schedule.parse(text).events(**MODEL)
    assert all(words in str(error.value) for words in said), str(error.value)


def test_a_hundred_thousand_doses_become_events_in_no_time() -> None:
    schedule = Schedule.parse("1 MIU sc every 5 min x100000")
    start = time.process_time()
    table = schedule.events(**MODEL)
    assert len(table) == 100_000
    assert time.process_time() - start < 1


def test_an_event_table_does_not_go_back_in_time() -> None:
    with pytest.raises(ScheduleError, match="go back"):
        EventTable(np.array([1.0, 0.0]), np.ones(2), np.zeros(2), np.zeros(2), np.zeros(2))
    with pytest.raises(ScheduleError, match="one length"):
        EventTable(np.array([0.0, 1.0]), np.ones(3), np.zeros(2), np.zeros(2), np.zeros(2))


# --- what is not a schedule ---


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("", 1, ["empty", "1 MIU", "placebo"]),
        ("   \n ", 1, ["empty"]),
        ("1 MIU sc dayly x5", 10, ['"dayly"', 'did you mean "daily"', "every other day"]),
        ("1 MIU dayly x5", 7, ['"dayly"', 'did you mean "daily"']),
        ("1 MIU sc daily x5 then weeky x7", 24, ['"weeky"', 'did you mean "weekly"']),
        ("1 MIU sc daily x5 tehn weekly x7", 19, ['did you mean "then"']),
        ("1 MIU daily x5", 7, ["route is missing", "sc or iv"]),
        ("1 MIU sc", 9, ["ends here", "once, at"]),
        ("1 MIU sc daily", 15, ["number of doses is missing", "xN", "for <time>"]),
        ("1 MIU sc daily x5 every 28 d", 29, ["number of courses is missing"]),
        ("1 MIU sc daily x0", 16, ["at least 1"]),
        ("1 MIU sc daily x2.5", 16, ["whole number"]),
        ("1 MIU sc daily x-3", 17, ["cannot be negative"]),
        ("1 MIU sc daily for 5", 21, ["unit of the time is missing"]),
        ("1 MIU sc daily for 2 months", 22, ["no fixed length", "28 d"]),
        ("1 MIU sc monthly x3", 10, ["no fixed length"]),
        ("1 MIU sc biweekly x3", 10, ["can mean twice a week"]),
        ("1 MIU sc 4 times a week x3", 10, ["on which days", "at 0, 1, 3, 5 d"]),
        ("1 MIU sc every 0 d x3", 16, ["longer than zero"]),
        ("1 MIU sc every -1 d x3", 16, ["cannot be negative"]),
        ("1 MIU sc every 3 x3", 18, ["unit of time is missing"]),
        ("0 MIU sc once", 1, ["above zero", '"none"']),
        ("-1 MIU sc once", 1, ["cannot be negative"]),
        ("nan MIU sc once", 1, ["finite"]),
        ("1e9 MIU sc once", 1, ["beyond anything given"]),
        ("1e999999999 MIU sc once", 1, ["out of any sensible range"]),
        ("1" * 5000 + " MIU sc once", 1, ["digits"]),
        ("1 sc once", 3, ["needs a unit", "MIU"]),
        ("1 MUI sc once", 3, ['did you mean "MIU"']),
        ("1 mIU sc once", 3, ["thousandth"]),
        ("1 MIU MIU daily x2", 7, ["cannot stand here", "route is missing"]),
        ("1,5 MIU sc once", 1, ["no comma"]),
        ("1 MIU/m3 sc once", 7, ["m2, kg"]),
        ("1 MIU/m2/d iv once", 9, ['"over" a time']),
        ("10 mg iv over 0 h once", 15, ['"bolus"']),
        ("1 MIU sc at 0, 24", 18, ["unit of the times is missing"]),
        ("1 MIU sc at 0, 24, 12 h", 20, ["must increase"]),
        ("1 MIU sc daily x5 every 3 d x3", 19, ["cannot be repeated", '"and"']),
        ("1 MIU sc daily x5 every 28 d for 30 d", 30, ["cut the last course", "x2 or x1"]),
        ("1 MIU sc daily x5 then once", 24, ["from day N"]),
        ("1 MIU sc daily x5 then daily x5 from day 2", 24, ["last dose before it", '"and"']),
        ("1 MIU sc daily x5 after 3 d", 1, ["from day N"]),
        ("1 MIU sc daily x5 and daily x5", 23, ["begins with its dose"]),
        ("1 MIU sc daily x5 from day -1", 28, ["cannot be negative"]),
        ("none x5", 6, ["stand alone"]),
        ("1 MIU sc daily x2000000", 16, ["more than 1000000 doses"]),
        ("1 MIU sc every 1 min x900 every 1 d x2000", 1, ["more than 1000000 doses"]),
        ("1 MIU sc daily x1000 every 1100 d x100", 1, ["more than 100 years"]),
        ("1 MIU sc every 200 years x2", 20, ["no fixed length"]),
        ("1 MIU sc every 40000 d x2", 16, ["longer than 100 years"]),
        ("sc 1 MIU daily x5", 1, ["begins with its dose"]),
        ("1 MIU sc daily x5; weekly x2", 18, ['";"']),
        ("\x00\x01\x02", 1, ["character"]),
        ("__import__('os').system('true')", 1, ["not understood"]),
    ],
)
def test_errors_show_the_place_and_what_could_stand_there(text: str, column: int, said: list[str]) -> None:
    with pytest.raises(ScheduleError) as error:
        Schedule.parse(text)
    message = str(error.value)
    assert message.startswith(f"<schedule>:1:{column}: "), message
    assert all(words in message for words in said), message
    assert "^" in message
    assert len(message) < 1000


def test_errors_count_lines_and_take_the_name_of_the_text() -> None:
    with pytest.raises(ScheduleError) as error:
        Schedule.parse("1 MIU sc daily x5\n  then weeky x2", file="data.csv")
    assert str(error.value).startswith("data.csv:2:8:")
    assert "  2 |   then weeky x2\n    |        ^^^^^" in str(error.value)


def test_what_a_model_cannot_take_is_shown_in_the_text_it_was_read_from() -> None:
    schedule = Schedule.parse("1 MIU sc daily x5\nthen 1 MIU svc daily x2", file="a.txt")
    with pytest.raises(ScheduleError) as error:
        schedule.events(**MODEL)
    assert str(error.value).startswith('a.txt:2:6: this model has no route "svc"')
    assert "  2 | then 1 MIU svc daily x2\n    |      ^^^^^^^^^^^^^^^^^^" in str(error.value)
    with pytest.raises(ScheduleError, match=r"^this model has no route"):
        schedule.shifted(1).events(**MODEL)  # which is no text that anybody wrote
    assert schedule == Schedule(schedule.parts)
    assert hash(schedule) == hash(Schedule(schedule.parts))


def test_a_long_line_is_shown_around_the_place() -> None:
    text = " and ".join(["1 MIU sc daily x5"] * 200) + " adn 2 MIU sc once"
    with pytest.raises(ScheduleError) as error:
        Schedule.parse(text)
    message = str(error.value)
    assert message.startswith(f"<schedule>:1:{text.index('adn') + 1}:")
    _, source, caret, _ = message.split("\n")
    assert source[caret.index("^") :].startswith("adn")
    assert len(source) < 200


@pytest.mark.parametrize(
    "unit", ["a", "1 ", "1 MIU sc once and ", "x5", "(", "\x00", "\n", "1 MIU sc at 0, "]
)
def test_a_long_text_is_answered_promptly(unit: str) -> None:
    text = unit * (200_000 // len(unit))
    start = time.process_time()
    with pytest.raises(ScheduleError) as error:
        Schedule.parse(text)
    assert time.process_time() - start < 4
    assert len(str(error.value)) < 2000


def test_what_is_not_text_is_refused() -> None:
    for wrong in (b"1 MIU sc once", None, 5):
        with pytest.raises(ScheduleError, match="a schedule is text"):
            Schedule.parse(wrong)  # type: ignore[arg-type]


def test_a_route_cannot_be_named_like_a_word_of_the_language() -> None:
    for word in ("daily", "then", "x5", "q12h", "mg", "a b", ""):
        with pytest.raises(ScheduleError):
            Dose(0, 1, "MIU", word)
