"""Endpoints that are declared in text: what each is, of curves with closed forms; what is refused, and where;
and that compare, optimise and explore take them from the folder of any fit."""

import math

import numpy as np
import pytest
import toy

from pkpd.core.errors import DataError, LibraryError
from pkpd.decision.comparison import Scene, compare
from pkpd.decision.criteria import criteria_of, fields, parse_criteria, read_criteria
from pkpd.decision.endpoints import evaluate, questions
from pkpd.decision.endpoints.functionals import FUNCTIONALS, WINDOWS
from pkpd.decision.optimisation import Space, optimise
from pkpd.dosing import Schedule
from pkpd.inference import fit, read_fit
from pkpd.model.check import read_model
from pkpd.present.report.comparison import figures, findings
from pkpd.present.web.evaluation import Explorer
from pkpd.solver import Options, solve
from pkpd.solver.kernel import load

# y falls from 100 per dose by k, and rest is at 10: y(t) = 10 + dose exp(-k t)
MODEL = """
model      fall
time       h
parameter  k = 0.1 [1/h]
parameter  base = 10 [mg/L]
state      x [mg]
route      iv -> x
d x        = -k*x
define     litre = 1 [L]
output     y = base + x/litre [mg/L]
output     z = x/litre [mg/L]
"""
K = 0.1


@pytest.fixture(scope="module")
def kernel():
    return load(read_model(MODEL, "fall.model"))


def found(kernel, entry, schedule="100 mg iv once", until=200.0):
    """The value of one endpoint, and the endpoint itself."""
    output = "" if "output =" in entry else 'output = "y"'
    text = f'[[endpoint]]\nname = "it"\n{output}\n{entry}\n'
    criteria = parse_criteria(text.encode(), "endpoints.toml", kernel)
    plan = Schedule.parse(schedule)
    about = (
        *([10.0, 0.0], kernel.OUTPUTS, kernel.OUTPUT_UNITS, plan, "h", until),
        criteria.endpoints,
    )
    events = plan.events("h", kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES)
    values = times = np.empty((1, 0))
    if asked := questions(*about):
        read = (
            solve(kernel, kernel.VALUES, events, [until], options=Options(rtol=1e-9), readings=asked)
            .check()
            .readings
        )
        values, times = read.values, read.times
    endpoint, value = next(iter(evaluate(values, times, *about).items()))
    return float(value[0]), endpoint


def integral(start, stop):
    """Of 100 exp(-k t)."""
    return 100 / K * (math.exp(-K * start) - math.exp(-K * stop))


@pytest.mark.parametrize(
    ("entry", "value", "unit"),
    [
        ('what = "max"', 110.0, "mg/L"),
        ('what = "max"\nagainst = "fold of baseline"', 11.0, "1"),
        ('what = "max"\nagainst = "change from baseline"', 100.0, "mg/L"),
        ('what = "max"\nagainst = "percent change from baseline"', 1000.0, "percent"),
        ('what = "max"\nunit = "ug/L"', 110_000.0, "ug/L"),
        ('what = "min"', 10 + 100 * math.exp(-20), "mg/L"),
        ('what = "min"\nwindow = "0 h to 5 h"', 10 + 100 * math.exp(-0.5), "mg/L"),
        ('what = "mean"', 10 + integral(0, 24) / 24, "mg/L"),  # a day of treatment
        ('what = "mean"\nwindow = "whole"', 10 + integral(0, 200) / 200, "mg/L"),
        ('what = "mean"\nwindow = "1 h to 0.25 d"', 10 + integral(1, 6) / 5, "mg/L"),
        ('what = "area"', 2000 + integral(0, 200), "mg/L*h"),
        ('what = "area"\nunit = "g/L*d"', (2000 + integral(0, 200)) / 24_000, "g/L*d"),
        ('what = "area above"', integral(0, 200), "mg/L*h"),
        ('what = "area above"\nlevel = "60 mg/L"', 500 - 50 * math.log(2) / K, "mg/L*h"),
        ('what = "area above"\nagainst = "per dose"', integral(0, 200), "mg/L*h"),
        ('what = "time above"\nlevel = "60 mg/L"', math.log(2) / K, "h"),
        ('what = "time above"\nlevel = "60000 ug/L"\nunit = "min"', 60 * math.log(2) / K, "min"),
        ('what = "time above"\nlevel = "+500 %"', math.log(2) / K, "h"),
        ('what = "time above"\nlevel = "600 % of baseline"', math.log(2) / K, "h"),
        ('what = "time above"\nlevel = "6 x baseline"', math.log(2) / K, "h"),
        ('what = "time below"\nlevel = "60 mg/L"', 200 - math.log(2) / K, "h"),
        ('what = "time until below"\nlevel = "60 mg/L"', math.log(2) / K, "h"),
        ('what = "time until below"\nlevel = "200 mg/L"', 0.0, "h"),
        ('what = "time until below"\nlevel = "10 mg/L"', math.inf, "h"),
        ('what = "time until above"\nlevel = "10 mg/L"', 0.0, "h"),
        ('what = "time until above"\nlevel = "60 mg/L"', math.inf, "h"),
        ('what = "time to return"', math.log(100) / K, "h"),  # to 11 = 10 + 10 %
        ('what = "time to return"\nunit = "d"', math.log(100) / K / 24, "d"),
        ('what = "end"\nwindow = "whole"', 10 + 100 * math.exp(-20), "mg/L"),
        ('what = "end"\nwindow = "0 h to 10 h"', 10 + 100 * math.exp(-1), "mg/L"),
        ('what = "end"', math.nan, "mg/L"),  # there is no dose before the last
        ('what = "half-life"\noutput = "z"', math.log(2) / K, "h"),
        ('what = "time of max"', 0.0, "h"),
        ('what = "time to peak"', 0.0, "h"),
        ('what = "rebound"', 0.0, "percent"),
        ('what = "last to first cycle"', math.nan, "1"),
    ],
)
def test_an_endpoint_is_what_it_says_of_a_curve_with_a_closed_form(kernel, entry, value, unit):
    got, endpoint = found(kernel, entry)
    assert endpoint.unit == unit
    assert got == pytest.approx(value, rel=1e-6, abs=1e-6, nan_ok=True)
    assert endpoint.definition.endswith(".") and "{" not in endpoint.definition + endpoint.missing


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ('what = "end"', 10 + 100 * math.exp(-K * 48) * (1 + math.exp(-K * 48))),
        ('what = "end"\nwindow = "before the last cycle"', 10 + 100 * math.exp(-4.8) * (1 + math.exp(-4.8))),
        ('what = "area above"\nwindow = "first interval"', integral(0, 48)),
        ('what = "max"\nwindow = "after the last dose"', 10 + 100 * (1 + math.exp(-4.8) + math.exp(-9.6))),
        ('what = "area above"\nagainst = "per dose"\nwindow = "whole"', 1000.0),
        ('what = "last to first cycle"', math.nan),
    ],
)
def test_windows_are_those_of_the_schedule(kernel, entry, value):
    got, _ = found(kernel, entry, "100 mg iv every 2 d x3", until=400.0)
    assert got == pytest.approx(value, rel=1e-6, nan_ok=True)


def test_every_functional_and_window_has_words_for_its_definition(kernel):
    for what, about in FUNCTIONALS.items():
        for window in [about.window] if about.fixed else WINDOWS:
            level = 'level = "20 mg/L"' if about.level == "needed" else ""
            _, endpoint = found(
                kernel, f'what = "{what}"\nwindow = "{window}"\n{level}', "100 mg iv daily x3"
            )
            assert "y" in endpoint.definition.split() or "y," in endpoint.definition, endpoint.definition


def test_a_ratio_is_of_the_two_that_it_names_in_one_unit(kernel):
    text = """
    [[endpoint]]
    name = "half an hour"
    output = "y"
    what = "time above"
    level = "60 mg/L"
    unit = "min"
    [[endpoint]]
    name = "return"
    output = "y"
    what = "time to return"
    [[endpoint]]
    name = "share"
    what = "ratio"
    of = [["is not there", "half an hour"], "return"]
    """
    criteria = parse_criteria(text.encode(), "endpoints.toml", kernel)
    about = ([10.0, 0.0], kernel.OUTPUTS, kernel.OUTPUT_UNITS, Schedule.parse("100 mg iv once"), "h", 200.0)
    about = (*about, criteria.endpoints)
    asked = questions(*about)
    values = np.array([[{"time_above": 7.0, "last_above": 14.0}.get(kind, 1.0) for kind, *_ in asked]])
    values[0, [kind == "last_below" for kind, *_ in asked]] = np.nan
    by_name = {endpoint.name: value[0] for endpoint, value in evaluate(values, values, *about).items()}
    assert (by_name["half an hour"], by_name["return"]) == (420.0, 14.0)
    assert by_name["share"] == pytest.approx(0.5)


WHOLE = """
[[endpoint]]
name = "it"
output = "y"
what = "max"
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "declares no endpoint"),
        ("[[endpoint]]\nname = 'it", "(at end of document)"),
        ("endpoint = 3", "under [[endpoint]]"),
        ("extend = 1" + WHOLE, 'unknown key "extend"; did you mean "extends"? known are '),
        (WHOLE.replace("what", "was"), 'endpoint "it": unknown key "was"'),
        (WHOLE.replace('what = "max"', ""), 'endpoint "it": what = "..." is needed'),
        (WHOLE.replace("max", "maks"), '"maks" is unknown; did you mean "max"'),
        (WHOLE.replace('"it"', '"a, b"'), "a name has at most"),
        (WHOLE.replace('"it"', '"one and two"'), "a name has at most"),
        (WHOLE.replace('"it"', '"injections"'), "of this name already"),
        (WHOLE + WHOLE, "of this name already"),
        (WHOLE.replace('"y"', '"yy"'), 'endpoint "it": the model fall has no output "yy"; did you mean "y"'),
        (WHOLE + 'unit = "h"', 'endpoint "it": h cannot be converted'),
        (WHOLE + 'unit = "furlong"', 'endpoint "it"'),
        (WHOLE + 'level = "3 mg/L"', '"max" takes no level'),
        (WHOLE.replace("max", "time above"), "needs a level"),
        (WHOLE.replace("max", "time above") + 'level = "3 h"', "cannot be converted"),
        (WHOLE.replace("max", "time above") + 'level = "much"', "is no level"),
        (WHOLE + 'window = "tomorrow"', "is no window"),
        (WHOLE + 'window = "5 h to 2 h"', "is no window"),
        (WHOLE + 'window = "1 mg to 2 mg"', "is no window"),
        (WHOLE.replace("max", "half-life") + 'window = "whole"', "takes no other"),
        (WHOLE.replace("max", "area") + 'against = "fold of baseline"', "not set against the baseline"),
        (WHOLE + 'against = "per dose"', "only an area is given per dose"),
        (WHOLE + 'better = "more"', '"more" is unknown; known are up, down, neither'),
        (WHOLE + "relevant = 0.1", 'reason = "..." is needed'),
        (WHOLE + 'reason = "so"', "add relevant"),
        (WHOLE + 'relevant = "ten"\nreason = "so"', "neither a number"),
        (WHOLE + 'relevant = -1\nreason = "so"', "must lie between"),
        (WHOLE + 'finding = "it is high"', "a finding has one {}"),
        (WHOLE + 'of = ["it", "it"]', 'only a ratio is "of"'),
        (WHOLE + '[[endpoint]]\nname = "r"\nwhat = "ratio"', "names the two endpoints"),
        (WHOLE + '[[endpoint]]\nname = "r"\nwhat = "ratio"\nof = ["it", "no"]', 'no endpoint "no" above'),
        ('main = ["itt"]' + WHOLE, 'main: there is no endpoint "itt"; did you mean "it"'),
        (WHOLE + '[optimise]\nobjectives = ["it"]', "two or three endpoints"),
        (WHOLE + '[optimise]\nobjectives = ["max it", "no"]', 'no endpoint "no"'),
        (WHOLE + '[report]\ncosts = ["no"]', 'no endpoint "no"'),
        (WHOLE + '[outputs.q]\ntitle = "Q"', 'no output "q"'),
        (WHOLE + "[outputs.y]\nlog = 1", "log must be true or false"),
        (WHOLE + '[explore]\noutputs = ["q"]', 'no output "q"'),
        (WHOLE + "[explore]\ndoses = [[2, 1, 1]]", "pieces from, to and step"),
        ('extends = "trege"' + WHOLE, 'no field "trege"; did you mean "treg"'),
    ],
)
def test_what_is_wrong_is_refused_with_the_file_and_the_key(kernel, text, words):
    with pytest.raises(DataError) as error:
        parse_criteria(text.encode(), "mine.toml", kernel)
    assert str(error.value).startswith("mine.toml") and words in str(error.value)


def test_files_that_are_no_text_or_not_there_are_said(tmp_path):
    with pytest.raises(LibraryError, match="cannot be read"):
        read_criteria(tmp_path / "none.toml")
    for content, words in ((b"\xff\xfe", "not UTF-8"), (b"#" * 300_000, "more than 200,000 bytes")):
        (tmp_path / "e.toml").write_bytes(content)
        with pytest.raises(DataError, match=words):
            read_criteria(tmp_path / "e.toml")


def test_nothing_of_the_text_is_evaluated(kernel):
    entry = 'what = "max"\ndefinition = "{output.__class__} {level!r} %s {0}"'
    assert found(kernel, entry)[1].definition == "{output.__class__} {level!r} %s {0}"


def test_a_field_can_be_extended(kernel):
    (field,) = (field for field in fields() if field.name == "treg")
    text = 'extends = "treg"\nmain = ["it"]' + WHOLE + '[outputs.y]\ntitle = "Y"\n'
    found = parse_criteria(text.encode(), "mine.toml", kernel)
    assert found.endpoints[:-1] == field.criteria.endpoints and found.endpoints[-1].name == "it"
    assert found.main == (*field.criteria.main, "it") and found.risks == field.criteria.risks
    assert found.objectives == field.criteria.objectives and found.shown("y").title == "Y"
    with pytest.raises(DataError, match="has one of this name"):
        parse_criteria(text.replace('"it"', '"NK mean fold"').encode(), "mine.toml", kernel)


# --- a fit of one's own ---------------------------------------------------------------------------

OWN = """
exposure = "C"

[[endpoint]]
name = "hours above 1 mg per L"
output = "C"
what = "time above"
level = "1000 ug/L"
unit = "h"
better = "up"
relevant = 2
reason = "two hours of a day"
group = "effect"
called = "the time above 1 mg/L"
finding = "{} hours above 1 mg/L"

[[endpoint]]
name = "C mean fold of 1 mg per L"
output = "C"
what = "mean"
better = "down"
group = "effect"

[outputs.C]
title = "The drug in plasma"
remark = "Made up."
log = true
called = "the drug"

[optimise]
objectives = ["hours above 1 mg per L", "C mean fold of 1 mg per L"]
dose = "50, 100, 200 mg"
route = "oral"
"""
ABOVE = "hours above 1 mg per L"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = toy.write(tmp_path_factory.mktemp("own") / "toy")
    fit(read_fit(made), rival=False, unverified=False, check=False).write_json(made / "result.json")
    (made / "endpoints.toml").write_text(OWN, encoding="utf-8")
    return made


@pytest.fixture(scope="module")
def compared(folder):
    scene = Scene.create(folder, subjects=60, vary=("between",))
    return compare(scene.arms(["100 mg oral daily x5", "50 mg oral every 12 h x10"]))


def test_a_comparison_has_the_endpoints_of_the_folder(compared):
    names = [endpoint.name for endpoint in compared.endpoints]
    assert {"Cmax", "trough", ABOVE} < set(names)
    assert [endpoint.group for endpoint in compared.endpoints if endpoint.name == ABOVE] == ["effect"]
    main = {endpoint.name for endpoint in compared.main().endpoints}
    assert main == {"Cmax", "AUC", ABOVE, "C mean fold of 1 mg per L"} | {
        "doses per 28 days",  # nobody injects a tablet
        "dose per 28 days",
    }
    row = compared.row(ABOVE, 1)
    assert row.better + row.same + row.worse == pytest.approx(1.0)
    assert row.endpoint.relevant is not None and row.endpoint.relevant.size == 2.0
    assert any("after which the fit saw the drug" in line for line in compared.warnings)


def test_a_report_tells_and_draws_them(compared):
    first, second = findings(compared)
    assert f"{compared.row(ABOVE, 0).median:.3g} (" in first and "hours above 1 mg/L" in first
    assert "The time above 1 mg/L is higher than under A by at least 2 h in" in second
    drawn = figures(compared)
    assert drawn["courses"][1].axes[0].get_title(loc="left").startswith("The drug in plasma")
    assert "on a logarithmic scale" in drawn["courses"][0] and "made up." in drawn["courses"][0]
    assert drawn["trade_off"][1].axes[0].get_ylabel() or ABOVE in drawn["trade_off"][0]


def test_where_only_less_is_wanted_the_sentence_says_lower_and_no_trade_off_is_drawn(compared):
    only = compared.choose(["C mean fold of 1 mg per L", "burden"])
    assert "C mean fold of 1 mg per L is lower than under A in" in findings(only)[1]
    assert "trade_off" not in figures(only)


def test_a_search_trades_and_bounds_them(folder):
    scene = Scene.create(folder, subjects=20, vary=("between",))
    space = Space.parse("50, 100, 200 mg", days="1, 2", interval="7 d", cycles="2", route="oral")
    front = optimise(scene, space, f"{ABOVE} >= 20 h", evaluations=50)
    assert [str(objective) for objective in front.objectives] == [
        f"max {ABOVE}",
        "min C mean fold of 1 mg per L",
    ]
    assert front.choices
    for choice in front.choices:
        assert choice.estimate(ABOVE).median >= 20.0
    usual = optimise(scene, None, f"{ABOVE} >= 20 h", evaluations=3)
    assert usual.provenance["space"]["dose"] == "50, 100, 200 mg"


def test_the_page_draws_and_tabulates_them(folder):
    page = Explorer(str(folder), subjects=20)
    facts, answer = page.facts(), page.evaluate({})
    assert facts["outputs"] == [
        {"name": "C", "title": "The drug in plasma", "remark": "Made up.", "log": True}
    ]
    assert facts["start"]["schedules"] == ["100 mg oral once", "100 mg iv once"]  # of most rows
    assert facts["units"] == ["mg"] and facts["limits"]["bsa"] is None and 100.0 in facts["doses"]
    (row,) = (row for row in answer["endpoints"] if row["name"] == ABOVE)
    assert row["main"] and row["unit"] == "h"
    assert set(answer["arms"][0]["curves"]) == {"C"} and "BSA" not in answer["command"]
    assert "c100" in answer["arms"][0]["points"]


def test_a_file_that_is_named_counts_more_than_that_of_the_folder(folder, tmp_path):
    other = tmp_path / "other.toml"
    other.write_text('[[endpoint]]\nname = "peak"\noutput = "C"\nwhat = "max"\n', encoding="utf-8")
    scene = Scene.create(folder, subjects=8, vary=(), endpoints=other)
    assert scene.arm("100 mg oral once").endpoints.keys() > set()
    assert [endpoint.name for endpoint in scene.arm("100 mg oral once").endpoints][:1] == ["peak"]
    assert scene.about["endpoints"] == str(other)


def test_a_fit_says_where_its_endpoints_are(folder):
    spec = read_fit(folder)
    assert spec.endpoints == str(folder / "endpoints.toml")
    kernel = load(spec.main.model)
    text = (folder / "fit.toml").read_text()
    try:
        (folder / "fit.toml").write_text('endpoints = "none.toml"\n' + text)
        with pytest.raises(DataError, match="endpoints: there is no file"):
            read_fit(folder)
        (folder / "fit.toml").write_text('endpoints = "treg"\n' + text)
        assert criteria_of(read_fit(folder), kernel) == fields()[0].criteria
        (folder / "fit.toml").write_text('endpoints = "treck"\n' + text)
        with pytest.raises(DataError, match='did you mean "treg"'):
            criteria_of(read_fit(folder), kernel)
    finally:
        (folder / "fit.toml").write_text(text)
