"""Claim: a hazard is the definition, state, equation and outputs that one would have written by hand, in any
unit of time; survival is that of the closed forms, with its derivatives; and what is wrong with a hazard is
shown in the line that a person wrote."""

import json

import numpy as np
import pytest

import pkpd
from pkpd.core.errors import ModelError, SolverError
from pkpd.model.check import read_model
from pkpd.model.text import expression_text
from pkpd.solver.kernel import load

MODEL = """\
model      hazards
time       d
parameter  rate = 0.02 [1/week]  of leaving         # assumed
parameter  shape = 1.7 [1]       of the Weibull law # assumed
parameter  scale = 90 [d]        of the Weibull law # assumed
parameter  g0 = 0.1 [1/d]        Gompertz at 0      # assumed
parameter  g1 = 0.001 [1/h]      Gompertz growth    # assumed
hazard     dropout = rate [1/week]  leaving
hazard     death = shape/scale*(t/scale)^(shape - 1) [1/d]  death
hazard     failure = percent*g0*exp(hours*g1*t) [percent/d]
define     percent = 100 [percent]
define     hours = 24 [h/d]
"""
BY_HAND = """\
model      hazards
time       d
parameter  rate = 0.02 [1/week]  of leaving
parameter  R0 = 3 [1]  rest
parameter  k = 0.1 [1/d]  back to it
state      R = steady [1]
d R = k*(R0 - R)
"""
TIMES = np.array([0.0, 1.0, 10.0, 40.0, 90.0, 200.0])


def refused(text):
    with pytest.raises(ModelError) as caught:
        read_model(text, "my.model")
    return str(caught.value)


def test_it_is_what_one_would_have_written_by_hand():
    short = read_model(BY_HAND + "hazard death = rate*R [1/week]  death\noutput R\n", "hazards.model")
    written = read_model(
        BY_HAND + "output R\n"
        "define conversion_hazard_death = 0.14285714285714288 [week/d]\n"
        "define hazard_death = rate*R [1/week]  death\n"
        "state cumulative_hazard_death [1]  death: cumulative hazard\n"
        "d cumulative_hazard_death = hazard_death*conversion_hazard_death\n"
        "output hazard_death [1/week]  death: hazard\n"
        "output cumulative_hazard_death [1]  death: cumulative hazard\n"
        "output survival_death = exp(-cumulative_hazard_death) [1]  death: survival\n",
        "hazards.model",
    )
    assert short.hazards == ("death",)
    assert written.hazards == ()
    assert short.equations == written.equations
    for part in ("states", "definitions", "outputs"):
        shown = [[(o.name, o.unit, o.description) for o in getattr(m, part)] for m in (short, written)]
        assert shown[0] == shown[1]
    assert [o.expression for o in short.outputs] == [o.expression for o in written.outputs]


def test_its_names_are_known_to_the_kernel_and_its_description_is_that_of_the_outputs():
    model = read_model(MODEL, "hazards.model")
    assert model.hazards == load(model).HAZARDS == ("dropout", "death", "failure")
    assert [state.name for state in model.states] == [f"cumulative_hazard_{h}" for h in model.hazards]
    death = {o.name: (o.unit, o.description) for o in model.outputs if o.name.endswith("_death")}
    assert death == {
        "hazard_death": ("1/d", "death: hazard"),
        "cumulative_hazard_death": ("1", "death: cumulative hazard"),
        "survival_death": ("1", "death: survival"),
    }
    assert load("one_compartment_iv").HAZARDS == ()


def test_survival_is_that_of_the_closed_forms_in_any_unit_of_time():
    profile = pkpd.simulate(read_model(MODEL, "hazards.model"), "none", TIMES, rtol=1e-9)
    exponential = 0.02 / 7 * TIMES
    weibull = (TIMES / 90) ** 1.7
    gompertz = 0.1 / 0.024 * np.expm1(0.024 * TIMES)
    for name, cumulative in (("dropout", exponential), ("death", weibull), ("failure", gompertz)):
        np.testing.assert_allclose(profile[f"cumulative_hazard_{name}"][0], cumulative, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(profile[f"survival_{name}"][0], np.exp(-cumulative), rtol=3e-6, atol=1e-9)
    np.testing.assert_allclose(profile["hazard_failure"][0], 10 * np.exp(0.024 * TIMES))
    in_hours = MODEL.replace("time       d", "time       h")
    in_hours = in_hours.replace("(t/scale)", "(t/hours/scale)").replace("hours*g1*t", "g1*t")
    again = pkpd.simulate(read_model(in_hours, "hours.model"), "none", 24 * TIMES, rtol=1e-9)
    for name in ("dropout", "death", "failure"):
        np.testing.assert_allclose(again[f"survival_{name}"], profile[f"survival_{name}"], atol=1e-7)


def test_derivatives_of_survival_are_those_of_the_closed_form():
    kernel = load(read_model(MODEL, "hazards.model"))
    solution = pkpd.solve(
        kernel,
        kernel.VALUES,
        pkpd.EventTable.empty(),
        TIMES,
        directions=["shape", "scale"],
        options=pkpd.Options(rtol=1e-9),
    )
    place = kernel.OUTPUTS.index("survival_death")
    survival, x = np.exp(-((TIMES / 90) ** 1.7)), TIMES / 90
    logarithm = np.log(np.maximum(x, 1e-300))
    found = solution.sensitivities[0, :, place]
    np.testing.assert_allclose(found[:, 0], -survival * x**1.7 * logarithm, atol=1e-6)
    np.testing.assert_allclose(found[:, 1], survival * 1.7 / 90 * x**1.7, atol=1e-8)


def test_a_model_may_rest_before_its_hazard_begins_though_that_depends_on_the_time():
    text = BY_HAND + "hazard death = rate*R*t/week [1/week]\ndefine week = 7 [d]\noutput R\n"
    profile = pkpd.simulate(read_model(text, "my.model"), "none", [0.0, 7.0])
    np.testing.assert_allclose(profile["R"], [[3.0, 3.0]])
    np.testing.assert_allclose(profile["cumulative_hazard_death"], [[0.0, 0.03]], rtol=1e-4)


def test_a_weibull_hazard_that_is_infinite_at_the_beginning_is_held_to_what_it_is_a_moment_later():
    text = MODEL.replace("shape = 1.7", "shape = 0.7")
    with pytest.raises(SolverError, match="not a finite number"):
        pkpd.simulate(read_model(text, "my.model"), "none", TIMES)
    text = text.replace("(t/scale)", "(max(t, first)/scale)") + "define first = 0.001 [d]\n"
    profile = pkpd.simulate(read_model(text, "my.model"), "none", TIMES)
    np.testing.assert_allclose(profile["cumulative_hazard_death"][0], (TIMES / 90) ** 0.7, atol=1.1e-4)


def test_a_hazard_may_be_used_by_others_and_go_with_none_but_itself():
    text = "model m\ntime d\nparameter a = 2 [1/d]\nhazard one = a [1/d]\nhazard two = 3*hazard_one [1/d]\n"
    model = read_model(text, "my.model")
    assert expression_text(model.definitions[1].expression) == "3*hazard_one"
    survival = pkpd.simulate(model, "none", [0.1])["survival_two"]
    np.testing.assert_allclose(survival, np.exp(-0.6), rtol=1e-3)


DEATH = "hazard     death = shape/scale*(t/scale)^(shape - 1) [1/d]  death"


@pytest.mark.parametrize(
    ("line", "place", "said"),
    [
        ("hazard death = rate [mg]", "9:22", "a hazard is a rate per time, and mg is mass"),
        ("hazard death = scale/scale [1]", "9:29", "a hazard is a rate per time, and 1 is a plain number"),
        ("hazard death = rate [1/d]", "9:16", "rate is in 1/week, but hazard_death is declared in 1/d"),
        ("hazard death = rates [1/d]", "9:16", 'unknown name "rates"'),
        ("hazard death = rate", "9:20", "expected the unit of the hazard death"),
        ("hazard death rate [1/d]", "9:14", 'expected "="'),
        ("hazard = rate [1/d]", "9:8", "expected the name of a hazard"),
        ("hazard dropout = rate [1/week]", "9:8", "the hazard dropout is declared already, line 8"),
        ("hazard death = rate*survival_dropout [1/week]", "9:21", '"survival_dropout" is an output'),
        (f"{DEATH}\nstate cumulative_hazard_death [1]", "9:1", "is already the name of a state, line 10"),
        (f"{DEATH}\nparameter hazard_death = 1 [1]", "9:1", "is already the name of a parameter, line 10"),
        (f"{DEATH}\ndefine survival_death = scale", "9:1", "is already the name of a definition, line 10"),
        (f"hazard {'x' * 60} = rate [1/week]", "9:1", "at most 64 characters"),
    ],
)
def test_what_is_wrong_is_shown_where_it_stands(line, place, said):
    message = refused(MODEL.replace(DEATH, line))
    assert message.startswith(f"my.model:{place}: ")
    assert said in message


@pytest.fixture
def base(tmp_path):
    (tmp_path / "base.model").write_text(MODEL)
    return tmp_path / "own.model"


def test_a_model_that_extends_another_changes_its_hazards(base):
    base.write_text(
        "extends ./base.model\n"
        "replace hazard death = 2*rate [1/week]  death, constant\n"
        "drop hazard failure\n"
        "hazard move = rate [1/week]  moving away\n"
    )
    kernel = load(str(base))
    assert kernel.HAZARDS == ("dropout", "death", "move")
    profile = pkpd.simulate(kernel, "none", [70.0])
    np.testing.assert_allclose(profile["survival_death"], np.exp(-0.4), rtol=1e-4)
    base.write_text("extends ./base.model\n\nreplace hazard death = 2*scale [1/d]\n")
    with pytest.raises(ModelError, match=r"own\.model:3:24: 2\*scale is in d, but hazard_death is declared"):
        load(str(base))
    base.write_text("extends ./base.model\nhazard death = rate [1/week]\n")
    with pytest.raises(ModelError, match=r'"death" stands in \./base\.model already'):
        load(str(base))
    base.write_text("extends ./base.model\ndrop hazard deaths\n")
    with pytest.raises(ModelError, match='has no hazard "deaths"'):
        load(str(base))


def test_show_prints_hazards(tmp_path, pkpd):
    path = tmp_path / "my.model"
    path.write_text(MODEL)
    code, out, _ = pkpd("show", path)
    assert code == 0
    assert "hazards  dropout, death, failure" in out
    assert json.loads(pkpd("show", path, "--json")[1])["hazards"] == ["dropout", "death", "failure"]
