"""Claim: a model that is read holds together (names, units, completeness); one that does not is refused in a
sentence with line, column and what would be right; and a hostile file can do nothing but fail, quickly."""

from __future__ import annotations

import math
import random
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.core import library
from pkpd.core.errors import ModelError
from pkpd.model.check import Bridge, Distribution, Model, dose_units, read_model
from pkpd.model.text import Name, Number, expression_text, parse_expression

BASE = """\
model      one compartment, first-order absorption   # a title
source     Gabrielsson & Weiner
time       h
bridge     18 MIU = 1.1 mg

parameter  ka = 1.0 [1/h]  absorption rate                # Table 2
parameter  CL = 5.0 [L/h]  clearance  ~ lognormal(0.3)    # Table 3
    bounds      0.5 .. 50     # wide
    prior       lognormal(5.0, 0.4)
    source      a second paper
    note        converted from mL/min
    provenance  derived
parameter  V = 50 [L]
parameter  tlag = 0.5 [h]
parameter  F_sc = 0.4 [1]
covariate  BSA = 1.9 [m^2]  body surface area
state      depot [mg]  amount at the site
state      central = 3 [mg]
state      E = E0 [1]  effect
parameter  E0 = 2 [1]
define     half = log(2)/k [h]  half-life
define     k = CL/V
route      sc -> depot  lag = tlag  F = F_sc
route      iv -> central  duration = 2*tlag
d depot   = -ka*depot
d central = ka*depot
    - k*central    # elimination
d E       = ka*(E0 - E) + ka*max(0, C - k/k)
define     C = central/V/c0
define     c0 = 1 [mg/L]  what a unit of effect refers to
output     conc = central/V [mg/L]  plasma concentration
output     half
output     E [1]  effect
"""


def changed(old: str, new: str) -> str:
    assert BASE.count(old) >= 1, f"{old!r} is not in the model"
    return BASE.replace(old, new, 1)


def complaint(text: str, file: str = "my.model") -> str:
    """What is said of a text that is no model; empty if it is one. Any other exception is a failure."""
    try:
        read_model(text, file)
    except ModelError as error:
        return str(error)
    return ""


def refuse(text: str) -> str:
    with pytest.raises(ModelError) as caught:
        read_model(text, "my.model")
    return str(caught.value)


@pytest.fixture(scope="module")
def model() -> Model:
    return read_model(BASE, "folder/my.model")


def test_what_stands_in_the_file_stands_in_the_model(model: Model) -> None:
    assert model.name == "my"
    assert model.title == "one compartment, first-order absorption"
    assert model.sources == ("Gabrielsson & Weiner",)
    assert model.time_unit == "h"
    assert model.bridges == (Bridge(18, "MIU", 1.1, "mg"),)
    assert [p.name for p in model.parameters] == ["ka", "CL", "V", "tlag", "F_sc", "BSA", "E0"]
    clearance = model.parameter("CL")
    assert (clearance.value, clearance.unit, clearance.description) == (5.0, "L/h", "clearance")
    assert (clearance.lower, clearance.upper) == (0.5, 50.0)
    assert clearance.prior == Distribution("lognormal", (5.0, 0.4))
    assert clearance.between == Distribution("lognormal", (0.3,))
    assert clearance.source == "Table 3; a second paper"
    assert clearance.note == "wide; converted from mL/min"
    assert clearance.provenance == "derived"
    assert clearance.line == 7
    assert model.parameter("BSA").kind == "covariate"
    assert (model.parameter("V").lower, model.parameter("V").upper) == (-math.inf, math.inf)
    assert [(s.name, s.unit, s.initial) for s in model.states] == [
        ("depot", "mg", None),
        ("central", "mg", Number(3.0)),
        ("E", "1", Name("E0")),
    ]
    assert list(model.equations) == ["depot", "central", "E"]
    assert expression_text(model.equations["central"]) == "ka*depot - k*central"
    assert [(o.name, o.unit, o.expression) for o in model.outputs] == [
        ("conc", "mg/L", parse_expression("central/V")),
        ("half", "h", Name("half")),
        ("E", "1", Name("E")),
    ]
    assert [(r.name, r.target, r.lag, r.F, r.rate) for r in model.routes] == [
        ("sc", "depot", Name("tlag"), Name("F_sc"), None),
        ("iv", "central", None, None, None),
    ]
    with pytest.raises(ModelError, match='did you mean "CL"'):
        model.parameter("Cl")


def test_definitions_stand_behind_what_they_use_and_have_units(model: Model) -> None:
    found = [(definition.name, definition.unit) for definition in model.definitions]
    assert found == [("k", "1/h"), ("half", "h"), ("c0", "mg/L"), ("C", "1")]


def test_cautions_are_free_text_in_the_order_of_the_file() -> None:
    model = read_model(
        "caution  the trial was negative: p = 0.3 [sic]  # as printed\n"
        f"{BASE}caution  a model\n    note well, not advice\n"
    )
    assert model.cautions == ("the trial was negative: p = 0.3 [sic]", "a model note well, not advice")
    assert read_model(BASE).cautions == ()


@pytest.mark.parametrize(
    ("lines", "place", "said"),
    [
        ("caution", "1:1", '"caution" is empty'),
        ("caution  # of what?", "1:1", '"caution" is empty'),
        ("caution a b\ncaution  c\ncaution   a b", "3:11", "this caution stands twice, first in line 1"),
        (f"caution {'a' * 300}\n  {'b' * 300}", "1:1", "a caution of 601 characters"),
        ("\n".join(f"caution {k}" for k in range(11)), "11:1", "too many cautions"),
        ("caution: a b", "1:1", 'unknown statement "caution"'),
    ],
)
def test_a_caution_that_is_none_is_refused_where_it_stands(lines: str, place: str, said: str) -> None:
    assert refuse(f"{lines}\n{BASE}").startswith(f"my.model:{place}: {said}")


def test_doses_convert_to_the_unit_of_the_target(model: Model) -> None:
    table = dose_units(model)
    assert set(table) == {"sc", "iv"}
    assert set(table["sc"]) == {"IU", "kIU", "MIU", "ng", "ug", "mg", "g"}
    assert table["sc"]["MIU"] == pytest.approx(1.1 / 18)
    assert table["sc"]["ug"] == pytest.approx(1e-3)
    assert "MIU" not in dose_units(read_model(changed("bridge     18 MIU = 1.1 mg\n", "")))["sc"]


def test_a_literal_zero_fits_any_unit_and_a_number_alone_takes_the_unit_behind_it() -> None:
    read_model(changed("d depot   = -ka*depot", "d depot = 0"))
    read_model(changed("d depot   = -ka*depot", "d depot = -ka*max(depot, 0)"))
    read_model(changed("define     k = CL/V", "define k = 0.1 [1/h]"))
    read_model(changed("define     k = CL/V", "define k = -0.1 [1/h]"))


def test_the_scale_is_part_of_the_unit() -> None:
    wrong = changed("central/V [mg/L]", "1000*central/V [ug/L]")
    said = refuse(wrong)
    assert "1000*central/V is in mg/L, but the output conc is declared in ug/L" in said
    assert "1 mg/L = 1000 ug/L: multiply by a constant, define c = 1000 [ug/mg]" in said
    read_model(wrong.replace("1000*central/V", "c*central/V") + "define c = 1000 [ug/mg]\n")
    read_model(changed("central/V [mg/L]", "central/V [ug/mL]"))


def test_percent_is_not_a_fraction() -> None:
    said = refuse(BASE + "output share = depot/(depot + central) [percent]\n")
    assert "define c = 100 [percent]" in said
    read_model(
        BASE + "define hundred = 100 [percent]\noutput share = hundred*depot/(depot + central) [percent]\n"
    )
    assert "must be a plain number" in refuse(changed("F_sc = 0.4 [1]", "F_sc = 40 [percent]"))


def test_a_steady_state_is_asked_for_by_its_name() -> None:
    model = read_model(changed("E = E0 [1]", "E = steady [1]"))
    assert model.states[2].initial == "steady"
    said = refuse(
        changed("E = E0 [1]", "E = steady [1]").replace("d depot   = -ka*depot", "d depot = -ka*depot*clock")
        + "define clock = t*ka\n"
    )
    assert "my.model:25:21: d depot depends on the time" in said


WRONG = [
    # names
    ("-ka*depot\n", "-ka*depo\n", "my.model:25:17: unknown name", 'did you mean "depot"?'),
    ("-ka*depot\n", "-ka*Depot\n", "25:17: unknown name", 'did you mean "depot"?'),
    ("-ka*depot\n", "-ka*zzz\n", "25:17: unknown name", "known are "),
    ("-ka*depot\n", "-ka*depot*exp\n", "25:23: unknown name", "exp is a function: write exp(...)"),
    ("-ka*depot\n", "-ka*depot*time\n", "unknown name", "the time is t"),
    ("-ka*depot\n", "-nan*depot\n", "unknown name", "finite"),
    ("-ka*depot\n", "-ka*depot*conc\n", '"conc" is an output (line 31)', "define"),
    (
        "E = E0 [1]",
        "E = central/V [1]",
        '"central" is a state and cannot be used in the initial value of E',
        "covariates",
    ),
    ("E = E0 [1]", "E = C [1]", '"C" is a definition that uses states', "covariates"),
    ("lag = tlag", "lag = t", '"t" is the time and cannot be used in the lag', "covariates"),
    # doubled, missing, reserved
    ("define     k =", "define     ka =", '"ka" is already the name of a parameter, line 6', "rename"),
    ("parameter  E0", "parameter  V", '20:12: "V" is already the name of a parameter, line 13', "rename"),
    (
        "output     half\n",
        "output     half\noutput half\n",
        "output half is declared already, line 32",
        "rename",
    ),
    ("output     half\n", "output     E = k [1/h]\n", "already the name of a state", "rename"),
    ("d E  ", "d central  ", "central has an equation already, line 26", "remove"),
    ("d depot   = -ka*depot\n", "", "17:12: the state depot has no equation", "write d depot = ..."),
    ("d depot ", "d depott ", 'there is no state "depott"', 'did you mean "depot"'),
    ("d depot ", "d ka ", '"ka" is a parameter, not a state', "declare it"),
    ("d depot ", "d ", "expected the name of a state", "d X"),
    ("route      iv", "route      sc", "route sc is declared already, line 23", "one target"),
    ("route      iv", "route      daily", "word of the schedule language", "sc, iv or oral"),
    ("-> central", "-> centrall", 'leads to a state, and "centrall" is none', 'did you mean "central"'),
    ("-> central", "central", 'expected "->"', "write for instance route iv -> depot"),
    ("time       h\n", "", 'the model has no line "time"', "time  h"),
    ("time       h\n", "time h\ntime d\n", '"time" stands twice, first in line 3', "remove"),
    ("time       h\n", "time\n", '"time" is empty', "time  h"),
    ("model      one compartment, first-order absorption   # a title\n", "", 'no line "model"', "write"),
    ("parameter  V ", "parameter  lambda ", '"lambda" is a reserved word', "another name"),
    ("parameter  V ", "parameter  t ", '"t" is the time', "another name"),
    ("parameter  V ", "parameter  exp ", '"exp" is a function', "another name"),
    ("parameter  V ", "parameter  _V ", "cannot be a name", "begins with a letter"),
    ("parameter  V ", f"parameter  {'V' * 65} ", "cannot be a name", "64"),
    ("parameter  V ", "parameter  Vé ", '13:13: "é" cannot stand here', "ASCII"),
    ("parameter  V ", "parameter  2V ", "not a number", ""),
    # cycles
    ("define     k = CL/V", "define     k = k*2", "in a circle: k -> k", "not itself"),
    ("c0 = 1 [mg/L]", "c0 = C*c0/half [mg/L]", "in a circle: C -> c0 -> C", "not itself"),
    # units
    ("time       h\n", "time mg\n", "3:6: mg is mass, not a time", "write one of s, min"),
    ("time       h\n", "time month\n", "unknown unit", "28 d"),
    ("ka = 1.0 [1/h]", "ka = 1.0 [1/hh]", '6:24: unknown unit "hh"', "did you mean"),
    (
        "ka = 1.0 [1/h]",
        "ka = 1.0 [1/d]",
        "my.model:25:13: -ka*depot is in mg/d, but d depot is in mg/h",
        "multiply by a constant",
    ),
    ("ka = 1.0 [1/h]", "ka = 1.0", "expected the unit of ka in square brackets", "plain number"),
    ("ka = 1.0 [1/h]", "ka = 1.0 []", "a unit is missing", "mg/L"),
    ("ka = 1.0 [1/h]", "ka = 1.0 [1/h", "bracket is not closed", ""),
    (
        "-ka*depot\n",
        "-ka*depot/V\n",
        "-ka*depot/V is in mg/h/L, but d depot is in mg/h",
        "a factor in L is missing",
    ),
    ("-ka*depot\n", "-ka*depot + 5\n", "25:25: 5 is in 1, but d depot is in mg/h", "parameter k = 1 [mg/h]"),
    (
        "-ka*depot\n",
        "-ka*depot [mg/h]\n",
        "expected an operator or the end of the equation",
        "no unit of its own",
    ),
    ("- k*central", "- CL*central", "27:7: CL*central is in L*mg/h", "a factor in 1/L is missing"),
    ("log(2)/k [h]", "log(2)/k [d]", "half is declared in d", "define c = "),
    (
        "log(2)/k [h]",
        "log(k) [h]",
        "the argument of log must be a plain number, but k is in 1/h",
        "reference",
    ),
    (
        "log(2)/k [h]",
        "log(2)/k half-life",
        "expected an operator, a unit in square brackets, or the end",
        "behind the unit",
    ),
    ("log(2)/k [h]", "2^k [h]", "an exponent must be a plain number", "reference"),
    ("log(2)/k [h]", "V^E0 [h]", "variable exponent must be a plain number", "reference value"),
    ("log(2)/k [h]", "hill(V, CL)/k [h]", "cannot both stand in hill(x, k)", "is missing"),
    ("log(2)/k [h]", "hill(V, V, k)/k [h]", "the exponent of hill must be a plain number", ""),
    ("log(2)/k [h]", "max(V, CL) [h]", "cannot be compared by max", ""),
    ("log(2)/k [h]", "piecewise(V, t < tlag, CL) [h]", "cannot be branches of one piecewise", ""),
    ("log(2)/k [h]", "piecewise(tlag, t < 5, 2*tlag) [h]", "cannot be compared", "plain number"),
    ("central/V [mg/L]", "central/V [ng/L]", "conc is declared in ng/L", "define c = 1000000 [ng/mg]"),
    ("central/V [mg/L]", "central/V", "expected the unit of conc", "[mg/L]"),
    ("central/V [mg/L]", "central/V + central [mg/L]", "cannot be added", "volume"),
    ("output     E [1]", "output     E [mg]", "E is in 1, but the output E is declared in mg", ""),
    (
        "output     half\n",
        "output     halff\n",
        'shows a state or definition, and "halff" is none',
        'did you mean "half"',
    ),
    ("lag = tlag", "lag = ka", "the lag of the route sc must be in h", ""),
    (
        "lag = tlag",
        "lag = 0.5",
        "0.5 is in 1, but the lag of the route sc must be in h",
        "give it a name and a unit",
    ),
    ("F = F_sc", "F = tlag", "the F of the route sc must be a plain number", ""),
    ("duration = 2*tlag", "rate = CL", "the rate of the route iv must be in mg/h", ""),
    ("duration = 2*tlag", "duration = tlag rate = ka*c0*V", "a duration or a rate, not both", "remove"),
    ("F = F_sc", "G = F_sc", '"G" is no attribute of a route', "lag, F, duration, rate"),
    ("F = F_sc", "lag = tlag", '"lag" stands twice', "remove"),
    ("E = E0 [1]", "E = V [1]", "the state E is in 1", ""),
    ("E = E0 [1]", "E = E0", "expected the unit of E", "steady"),
    # bridges
    ("18 MIU = 1.1 mg", "18 MIU", 'a bridge needs "="', "18 MIU = 1.1 mg"),
    ("18 MIU = 1.1 mg", "18 h = 2 d", "are both time", "18 MIU = 1.1 mg"),
    ("18 MIU = 1.1 mg", "0 MIU = 1.1 mg", "must be positive", "18 MIU = 1.1 mg"),
    ("18 MIU = 1.1 mg", "18 MIV = 1.1 mg", 'unknown unit "MIV"', 'did you mean "MIU"'),
    (
        "18 MIU = 1.1 mg",
        "18 MIU = 1.1 mg\nbridge 1 mg = 3 kIU",
        "5:8: how mg becomes kIU is already declared",
        "remove",
    ),
    # numbers
    ("V = 50 [L]", "V = nan [L]", 'must be a number, not "nan"', "finite"),
    ("V = 50 [L]", "V = inf [L]", 'must be a number, not "inf"', "finite"),
    ("V = 50 [L]", "V = 1e999 [L]", "13:16: 1e999 is too large", "1e308"),
    ("V = 50 [L]", "V = 1e-999 [L]", "too small", ""),
    ("V = 50 [L]", "V = 5,0 [L]", "expected the unit of V", "write for instance"),
    ("V = 50 [L]", "V = [L]", "the value of V must be a number", ""),
    ("V = 50 [L]", "V 50 [L]", 'expected "=", not "50"', "write for instance"),
    ("V = 50 [L]", "V = 5*10 [L]", "expected the unit of V", ""),
    ("0.5 .. 50 ", "6 .. 50 ", "7:17: the value of CL lies outside its bounds, 6 .. 50", "change"),
    ("0.5 .. 50 ", "50 .. 0.5 ", 'bounds are two numbers with ".."', "lower one first"),
    ("0.5 .. 50 ", "0.5, 50 ", 'bounds are two numbers with ".."', "lower one first"),
    ("0.5 .. 50 ", "0.5 .. nan ", "a bound must be a number", "finite"),
    ("0.5 .. 50 ", "0.5 .. 50 .. 60 ", "", "lower one first"),
    ("0.5 .. 50 ", "0.5 .. 50\n    bounds 1 .. 60 ", '"bounds" stands twice, first in line 8', "remove"),
    ("lognormal(5.0, 0.4)", "lognormal(500, 0.4)", "the centre of the prior of CL lies outside", "change"),
    ("lognormal(5.0, 0.4)", "lognormal(5.0)", "cannot take 1 argument", "lognormal(median, log-SD)"),
    ("lognormal(5.0, 0.4)", "lognormal(5.0, -0.4)", "SD of a prior must be positive", ""),
    ("lognormal(5.0, 0.4)", "lognormal(-5.0, 0.4)", "positive median", ""),
    ("lognormal(5.0, 0.4)", "gamma(5.0, 0.4)", '"gamma" is no distribution', "logitnormal(median, logit-SD)"),
    ("lognormal(5.0, 0.4)", "uniform(6, 10)", "outside its uniform prior", ""),
    ("lognormal(5.0, 0.4)", "uniform(10, 6)", "must be below", ""),
    ("lognormal(5.0, 0.4)", "logitnormal(0.5, 1)", "between 0 and 1", ""),
    ("~ lognormal(0.3)", "~ normal(0.3)", '"normal" is no distribution', "lognormal(log-SD)"),
    ("~ lognormal(0.3)", "~ lognormal(-0.3)", "log-SD lies between", ""),
    ("~ lognormal(0.3)", "~ lognormal(0.3) x", "expected the end of the line", ""),
    ("CL = 5.0 [L/h]", "CL = -5.0 [L/h]", "value must be positive", ""),
    ("body surface area", "body ~ normal(0.1)", '"normal" is no distribution', "lognormal(log-SD)"),
    ("body surface area", "body\n    prior normal(1.9, 1)", "never fitted", "parameter"),
    ("provenance  derived", "provenance  guessed", '"guessed" is no provenance', "reported, secondary"),
    ("provenance  derived", "bond  1 .. 2", '"bond" cannot stand below a parameter', "bounds"),
    # constants that are no numbers
    ("log(2)/k [h]", "1/0*tlag [h]", "division by zero", ""),
    ("log(2)/k [h]", "tlag*9**9**9**9 [h]", "is no finite number", ""),
    ("log(2)/k [h]", "tlag*exp(1000) [h]", "is no finite number", ""),
    ("log(2)/k [h]", "tlag*log(0) [h]", "is no finite number", ""),
    ("log(2)/k [h]", "tlag*sqrt(-1) [h]", "is no finite number", ""),
    ("log(2)/k [h]", "tlag*(-8)^(1/3) [h]", "is no finite number", ""),
    ("log(2)/k [h]", "tlag*E0^1e9 [h]", "is beyond 100", ""),
    ("F = F_sc", "F = 1e308 + 1e308", "is no finite number", ""),
    # units that are no size any more
    ("log(2)/k [h]", "(tlag^12)^99/tlag [h]", "the unit of", "too large or too small"),
    ("log(2)/k [h]", "(V^12)^99/tlag [h]", "the unit of", "too large or too small"),
]


@pytest.mark.parametrize(("old", "new", "said", "right"), WRONG)
def test_what_is_wrong_is_said_with_its_place_and_what_would_be_right(
    old: str, new: str, said: str, right: str
) -> None:
    message = refuse(changed(old, new))
    assert said in message.splitlines()[0]
    assert right in message
    if ":" in message.splitlines()[0].removeprefix("my.model:")[:3]:
        assert "^" in message.splitlines()[2]


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing\n", "   \t\n"])
def test_an_empty_file_is_said_to_be_empty(text: str) -> None:
    assert "holds no statement" in refuse(text)


def test_a_model_needs_outputs_and_no_state() -> None:
    assert "the model has no output" in refuse("model x\ntime h\n")
    assert "the model has no output" in refuse("model x\ntime h\nstate a [mg]\nd a = 0\n")


HOSTILE = [
    "__import__('os').system('touch pwned')",
    "().__class__.__bases__[0].__subclasses__()",
    'exec(\'open("pwned", "w")\')',
    "open('pwned', 'w')",
    "[x for x in range(10**10)]",
    "lambda: 0",
    "ka.__class__",
    "f'{ka}'",
    "ka if ka else ka",
    "(ka := 1)",
    "9**9**9**9",
    "ka**ka**99999999999",
    "factorial(999999999)",
    "Integer(9)**9",
    "S('print(1)')",
]


PLACES = [
    ("-ka*depot\n", "{}\n"),
    ("log(2)/k [h]", "{} [h]"),
    ("lag = tlag", "lag = {}"),
    ("E = E0 [1]", "E = {} [1]"),
    ("central/V [mg/L]", "{} [mg/L]"),
    ("V = 50 [L]", "V = {} [L]"),
    ("V = 50 [L]", "V = 50 [{}]"),
    ("0.5 .. 50 ", "0.5 .. {} "),
    ("lognormal(5.0, 0.4)", "{}"),
    ("18 MIU = 1.1 mg", "{} = 1.1 mg"),
    ("time       h\n", "time {}\n"),
]


class Watch:
    """Notes what the interpreter does while it is on: an audit hook sees every exec, import of code, open and
    process."""

    def __init__(self) -> None:
        self.on = False
        self.seen: list[str] = []
        sys.addaudithook(self.note)

    def note(self, event: str, _: object) -> None:
        if self.on and event.split(".")[0] in (
            "exec",
            "compile",
            "open",
            "import",
            "os",
            "subprocess",
            "socket",
            "code",
        ):
            self.seen.append(event)


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()  # a hook cannot be removed: one for all tests


@pytest.mark.parametrize(("old", "new"), PLACES)
def test_a_hostile_file_can_do_nothing_but_fail(old: str, new: str, watch: Watch) -> None:
    read_model(BASE)  # what is imported lazily is imported before anything is watched
    for payload in HOSTILE:
        text = changed(old, new.format(payload))
        watch.seen.clear()
        watch.on = True
        try:
            said = complaint(text)
        finally:
            watch.on = False
        assert said, payload
        assert watch.seen == [], payload


def test_the_watch_sees(watch: Watch) -> None:
    watch.seen.clear()
    watch.on = True
    compile("1", "<test>", "eval")
    watch.on = False
    assert watch.seen == ["compile"]


def big(count: int) -> list[str]:
    head = "model x\ntime h\nstate a [1]\nd a = 0\noutput a\nparameter p = 1 [1]\n"
    chain = "define d0 = p\n" + "".join(f"define d{i + 1} = d{i}\n" for i in range(count))
    laughs = "define d0 = p\n" + "".join(f"define d{i + 1} = d{i}*d{i}\n" for i in range(60))
    ring = "".join(f"define d{i} = d{(i + 1) % count}\n" for i in range(count))
    many = "".join(f"parameter p{i} = 1 [1]\n" for i in range(count))
    unknown = "".join(f"define d{i} = nothing{i}\n" for i in range(count))
    return [head + text for text in (chain, laughs, ring, many, unknown)]


@pytest.mark.parametrize("text", big(3000), ids=["chain", "billion laughs", "ring", "many", "unknown"])
def test_a_large_file_is_read_or_refused_quickly(text: str) -> None:
    began = time.process_time()
    assert len(complaint(text)) < 2000
    assert time.process_time() - began < 5  # a walk through 100 kB; quadratic work would take minutes


def test_definitions_that_unfold_without_end_are_refused() -> None:
    assert "unfolds to more than" in refuse(big(10)[1])


@settings(max_examples=150)
@given(st.randoms(use_true_random=False))
def test_a_damaged_model_is_a_model_or_a_model_error(random: random.Random) -> None:
    """Cut, doubled, swapped and mistyped pieces of the model above."""
    text = BASE
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(text) + 1)
        stop = min(len(text), start + random.randint(0, 30))
        piece = random.choice(
            [
                "",
                text[start:stop] * 2,
                "\n",
                "[",
                "]",
                "=",
                "~",
                "..",
                "->",
                "9e9",
                "\t",
                "é",
                "\0",
                "#",
                "t",
                "^",
            ]
        )
        text = text[:start] + piece + text[stop:]
    assert (complaint(text) or "my.model:").startswith("my.model:")


@settings(max_examples=30)
@given(st.sampled_from(library.models()), st.floats(0, 1))
def test_a_truncated_model_is_a_model_or_a_model_error(name: str, share: float) -> None:
    text, file = library.read_model_text(name)
    assert (complaint(text[: int(share * len(text))], file) or file).startswith(file)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_in_a_sentence(content: bytes) -> None:
    with pytest.raises(ModelError, match=r"^my\.model"):
        read_model(library.decode(content, "my.model"), "my.model")


def test_models_are_values() -> None:
    model = read_model(BASE, "my.model")
    assert model == read_model(BASE, "my.model")
    with pytest.raises(AttributeError):
        model.title = "other"  # type: ignore[misc]
