"""Claim: what fits/als/source.md says of the effect of the drug is what its results say, with the words that
belong to it; and the model finds no effect where there is none."""

import math
import re
from statistics import NormalDist

import numpy as np
import pytest

import pkpd
from pkpd.core import library
from pkpd.dosing import EventTable
from pkpd.inference import FitResult
from pkpd.inference.population import bands

FOLDER = library.fit_folder("als")
TEXT = (FOLDER / "source.md").read_text(encoding="utf-8")
WORTH_HAVING = 0.9


def told(result):
    """The rows of the table, as they are printed there."""
    estimates = {one.name: one for one in result.estimates}
    rows = {row.id: row.predicted for row in result.rows}
    effect, slope, normal = estimates["effect"], estimates["effect_pNFH"], NormalDist()
    ratio = (math.exp(effect.x + z * 1.96 * effect.x_sd) for z in (0, -1, 1))
    return [
        "{:.2f} ({:.2f} to {:.2f})".format(*ratio),
        f"{100 * normal.cdf(-effect.x / effect.x_sd):.0f} %",
        f"{100 * (1 - normal.cdf((math.log(WORTH_HAVING) - effect.x) / effect.x_sd)):.0f} %",
        f"{slope.x:.2f} ({slope.lower:.2f} to {slope.upper:.2f})",
        *(
            f"{rows[name]:.2f}"
            for name in ("mirocals_hr_low", "mirocals_hr_high", "mirocals_hr", "mirocals_hr_adjusted")
        ),
    ]


@pytest.mark.parametrize(("column", "folder"), [(1, "."), (2, "variants/from_randomisation")])
def test_the_table_of_effects_is_that_of_the_results(column, folder):
    result = FitResult.read_json(FOLDER / folder / "result.json")
    table = TEXT.split("| 548 days (this fit) |")[1].split("\n\n")[0].splitlines()[2:]
    assert [line.split("|")[column + 1].strip() for line in table] == told(result)


def test_the_prior_is_centred_on_no_effect():
    prior = {one.name: one.prior for one in FitResult.read_json(FOLDER / "result.json").estimates}
    assert prior["effect"].startswith("normal(0, 0.5)") and prior["effect_pNFH"].startswith("normal(0, 0.5)")
    none = 1 - NormalDist(0, 0.5).cdf(math.log(WORTH_HAVING))
    assert f"a hazard ratio above 0.9 (prior: {100 * none:.0f} %)" in TEXT


def test_without_an_effect_the_drug_changes_tregs_and_nobody_s_course():
    kernel = pkpd.load("als")
    days = np.array([0.0, 7.0, 84.0, 548.0])
    courses = [
        pkpd.simulate(kernel, schedule, times=24 * days).outputs[0]
        for schedule in ("none", "2 MIU sc daily x5 every 28 d x20")
    ]
    none, drug = ({name: one[:, kernel.OUTPUTS.index(name)] for name in kernel.OUTPUTS} for one in courses)
    assert drug["treg_pct"][1] > 1.5 * none["treg_pct"][1] and drug["ccl2"][1] < 0.9
    for name in ("alsfrs", "survival_death", "nfl"):
        np.testing.assert_allclose(drug[name], none[name], rtol=1e-5)


def test_survival_is_that_of_the_hazard_and_people_differ_by_neurofilament():
    kernel = pkpd.load("als")
    names = ("survival_death", "hazard_death")
    survival, hazard = (kernel.OUTPUTS.index(name) for name in names)
    days = np.linspace(0.0, 548.0, 549)
    found = {
        level: pkpd.simulate(kernel, "none", times=24 * days, parameters={"pNFH": level}).outputs[0]
        for level in (1000.0, 2030.0, 4000.0)
    }
    for one in found.values():
        assert one[-1, survival] == pytest.approx(math.exp(-np.trapezoid(one[:, hazard], days)), rel=1e-4)
    assert found[1000.0][-1, survival] > found[2030.0][-1, survival] > found[4000.0][-1, survival]


@pytest.mark.parametrize("text", [TEXT, " ".join(FitResult.read_json(FOLDER / "result.json").notes)])
def test_the_words_stand_wherever_survival_is_shown(text):
    for words in ("primary analysis of MIROCALS was negative", "not medical advice", "no patient"):
        assert words in text
    assert re.search("post hoc|chosen by the interaction", text)


def test_the_model_says_them_wherever_it_is_simulated():
    profile = pkpd.simulate("als", "none", times=[0, 24])
    people = pkpd.virtual_subjects("als", 3)
    course = bands(people, EventTable.empty(), [0.0, 24.0], ["survival_death"])
    said = " ".join(profile.cautions)
    assert "primary analysis of MIROCALS was negative" in said
    assert "post hoc in effect" in said and "one trial of 220 patients" in said
    for shown in (profile, people, course):
        assert f"{said} A model, not medical advice." in shown._repr_html_()
