"""What a term added is the integral of it: the totals add up to the curve, and are those of closed forms."""

import json
import math

import numpy as np
import pytest

import pkpd
from pkpd.core.errors import InputError
from pkpd.decision.why import why
from pkpd.present.plot import save
from pkpd.present.report.why import figure

FALLING = """\
model      a function that declines by itself, which a drug slows
time       d
parameter  k = 0.1 [1/d]   elimination
parameter  slope = 2 [1/d] decline
parameter  help = 0.5 [1/d/mg] help of the drug
state      A [mg]          drug
state      Y = Y0 [1]      function
define     Y0 = 40 [1]
route      iv -> A
d A = -k*A
d Y = -slope + help*A
output     score = Y^2 [1]
"""


def account(of, *arguments, **options):
    return why(of, *arguments, **{"subjects": 1} | options).accounts


@pytest.mark.parametrize(
    ("model", "schedule", "output"),
    [
        ("il2_treg", "1 MIU sc daily x5 every 28 d x2", "treg_pct"),
        ("il2_treg", "2 MIU sc daily x5", "cd122_treg"),
        ("il2_treg", "2 MIU sc daily x5", "nk"),
        ("indirect_response_2", "100 mg iv once", "R"),
        ("tmdd_full", "100 nmol iv once", "occupancy"),
        ("als", "2 MIU sc daily x5", "treg_pct"),
    ],
)
def test_the_totals_of_the_terms_add_up_to_the_curve_at_every_time(model, schedule, output):
    """Within a hundred times the tolerance of the integrator, 1e-6; doses would hide what does not."""
    for one in account(model, schedule, output):
        if any(term.kind == "doses" for term in one.terms):
            continue
        summed = np.sum([term.total[0] for term in one.terms], axis=0)
        assert np.abs(summed - one.change[0]).max() < 1e-4 * np.abs(one.change[0]).max()
        assert one.open < 1e-4
        for term in one.terms:
            if term.parts:
                parts = np.sum([part.total[0] for part in term.parts], axis=0)
                assert parts == pytest.approx(term.total[0], rel=1e-6, abs=1e-6 * np.abs(term.total[0]).max())


def test_of_an_elimination_the_total_is_what_left_and_of_doses_what_came():
    found = account("one_compartment_iv", "100 mg iv daily x3", "C", until_days=5)[0]
    kernel = pkpd.load("one_compartment_iv")
    CL, V = dict(zip(kernel.PARAMETERS, kernel.VALUES.tolist(), strict=True)).values()
    k, hours = CL / V, np.array([0.0, 24.0, 48.0])
    out, doses = found.terms
    assert [out.kind, doses.kind] == ["term", "doses"]
    days = why("one_compartment_iv", "100 mg iv daily x3", "C", subjects=1, until_days=5).days
    given = np.array([100 / V * np.sum(hours <= 24 * day + 1e-9) for day in days])
    here = np.array(
        [100 / V * np.exp(-k * (24 * day - hours[hours <= 24 * day + 1e-9])).sum() for day in days]
    )
    assert doses.total[0] == pytest.approx(given, rel=1e-5)
    assert out.total[0] == pytest.approx(here - given, rel=1e-5, abs=1e-5)
    assert out.treated.typical + out.after.typical == pytest.approx(out.total[0, -1], rel=1e-9)
    assert doses.treated.typical == pytest.approx(300 / V)


def test_an_infusion_counts_as_a_dose():
    found = account("one_compartment_iv", "240 mg iv over 24 h once", "C", until_days=3)[0]
    doses = next(term for term in found.terms if term.kind == "doses")
    assert doses.total[0, -1] == pytest.approx(240 / 32.0, rel=1e-5)
    assert doses.total[0, 0] == pytest.approx(0.0, abs=1e-9)


def test_a_pool_holds_what_was_given_and_what_left_it():
    """What moves from depot to centre does not count; F times the doses come in."""
    pool = account("one_compartment_oral", "100 mg oral daily x2", "C", until_days=20)[1]
    kernel = pkpd.load("one_compartment_oral")
    F = kernel.VALUES[kernel.PARAMETERS.index("F_oral")] if "F_oral" in kernel.PARAMETERS else 1.0
    assert pool.name == "depot + central"
    assert {term.kind for term in pool.terms} == {"term", "doses"}
    doses = next(term for term in pool.terms if term.kind == "doses")
    left = next(term for term in pool.terms if term.kind == "term")
    assert doses.total[0, -1] == pytest.approx(200 * F, rel=1e-5)
    assert left.total[0, -1] == pytest.approx(-200 * F, rel=1e-3)


def test_tregs_rise_by_division_and_by_what_is_not_lost_and_blood_by_exchange_alone():
    blood, pool = account("il2_treg", "1 MIU sc daily x5", "treg_pct")
    assert [term.kind for term in blood.terms] == ["exchange"]
    assert pool.name == "T + B"
    by = {(term.text, part.text): part for term in pool.terms for part in term.parts}
    assert by["share*loss*divide*T", "divide"].treated.typical > 0
    assert by["-survive*loss*T", "survive"].treated.typical > 0
    assert by["-survive*loss*T", "T"].treated.typical < 0
    rest = by["share*loss*divide*T", "divide"].factor
    assert rest[0] == pytest.approx(1.0)
    assert rest.max() > 1.2


def test_what_does_not_rest_is_compared_with_its_own_course(tmp_path):
    """Y(t) - Y without drug = help*A0/k*(1 - exp(-k t)); of Y^2 the terms miss nothing."""
    path = tmp_path / "falling.model"
    path.write_text(FALLING, encoding="utf-8")
    found = why(path, "10 mg iv once", "Y", subjects=1, until_days=15)
    assert not found.rests
    (one,) = found.accounts
    assert one.change[0] == pytest.approx(0.5 * 10 / 0.1 * -np.expm1(-0.1 * found.days), rel=1e-4, abs=1e-5)
    (term,) = one.terms  # the decline is the same with and without
    assert term.text == "help*A"
    (square,) = why(path, "10 mg iv once", "score", subjects=1, until_days=15).accounts
    assert square.open < 1e-4
    assert len(square.terms) == 2  # that of the decline too: the slope of the square is another


def test_people_of_a_fit_have_a_band_and_the_typical_person_lies_in_it():
    found = why("low_dose_il2", "1 MIU sc daily x5", subjects=24, seed=3)
    again = why("low_dose_il2", "1 MIU sc daily x5", subjects=24, seed=3, threads=1)
    pool, same = found.accounts[1], again.accounts[1]
    assert found.subjects == 24
    for term, other in zip(pool.terms, same.terms, strict=True):
        assert term.treated.low <= term.treated.typical <= term.treated.high
        assert np.array_equal(term.total, other.total)
    heavy = why("low_dose_il2", "1 MIU sc daily x5", subjects=1, parameters={"CL": 9.0})
    assert heavy.accounts[1].treated.typical < found.accounts[1].treated.typical


def test_files_and_figure_say_what_they_are(tmp_path):
    found = why("indirect_response_1", "100 mg iv once", "R", subjects=8)
    found.write_csv(tmp_path / "why.csv")
    found.write_json(tmp_path / "why.json")
    kept = json.loads((tmp_path / "why.json").read_text(encoding="utf-8"))
    assert kept["advice"] == "A model, not medical advice."
    assert len(kept["accounts"][0]["terms"][0]["total"]) == 3
    text = (tmp_path / "why.csv").read_text(encoding="utf-8")
    assert "not medical advice" in text
    frame = found.to_frame()
    assert set(frame["period"]) == {"treatment", "after"}
    sums = frame[(frame["part"] == "") & (frame["what"] != "change")].groupby("period")["typical"].sum()
    change = frame[frame["what"] == "change"].set_index("period")["typical"]
    assert sums["treatment"] == pytest.approx(change["treatment"], rel=1e-4)
    drawn = save(figure(found), tmp_path / "why.svg").read_text(encoding="utf-8")
    assert "not medical advice" in drawn
    assert "loss of the response" in drawn


def test_a_dose_that_was_missed_adds_nothing():
    missed = why("one_compartment_iv", "100 mg iv daily x4; miss day 1", subjects=1, until_days=5)
    planned = why("one_compartment_iv", "100 mg iv at 0, 2, 3 d", subjects=1, until_days=5)
    assert missed.schedule == planned.schedule
    assert missed.accounts[0].change[0].tolist() == planned.accounts[0].change[0].tolist()


@pytest.mark.parametrize(
    ("of", "schedule", "output", "said"),
    [
        ("il2_tre", "1 MIU sc once", None, "il2_treg"),
        ("il2_treg", "1 MIU sc once", "treg_pc", 'did you mean "treg_pct"'),
        ("il2_treg", "none", None, "without a dose"),
        ("il2_treg", "1 MIU sc once; miss day 0", None, "without a dose"),
        ("il2_treg", "1 MIU sc daily x3; jitter 2 h", None, "name those that were missed or late"),
        ("il2_treg", "1 MIU sc once", "pstat5_nk", "no state changes"),
        ("one_compartment_iv", "1 mg sc once", None, "route"),
    ],
)
def test_what_cannot_be_explained_is_refused_with_what_would_be_right(of, schedule, output, said):
    with pytest.raises(InputError, match=said):
        why(of, schedule, output, subjects=1)


def test_a_horizon_before_the_last_dose_is_refused():
    with pytest.raises(InputError, match="not after the last dose"):
        why("one_compartment_iv", "1 mg iv daily x5", subjects=1, until_days=2)
    assert math.isclose(why("one_compartment_iv", "1 mg iv daily x5", subjects=1, until_days=9).days[-1], 9.0)
