"""What a person brings along, by formulas: their values are those of the papers, in any units and order, and
what no person has is refused with what would be right."""

import math

import pytest

import pkpd
from pkpd.core.errors import InputError, UnitError
from pkpd.simulation.body import FORMULAS, covariate_by_formula


def test_body_surface_areas_are_those_of_the_papers():
    """Du Bois 1916, table: 74.05 kg, 179.2 cm; Mosteller 1987: sqrt(height weight / 3600)."""
    assert covariate_by_formula("DuBois(74.05 kg, 179.2 cm)") == (
        pytest.approx(71.84e-4 * 74.05**0.425 * 179.2**0.725),
        "m^2",
    )
    assert covariate_by_formula("Mosteller(172 cm, 70 kg)")[0] == pytest.approx(math.sqrt(172 * 70 / 3600))
    assert covariate_by_formula("mosteller(70000 g, 1.72 m)")[0] == pytest.approx(1.8288, abs=1e-4)
    assert covariate_by_formula("Du Bois(70 kg, 172 cm)")[0] == pytest.approx(1.826, abs=1e-3)


def test_fat_free_mass_and_creatinine_clearance_are_those_of_the_papers():
    """By hand: a BMI of 25, so that 9270 * 72.25 / (6680 + 5400) and 9270 * 72.25 / (8780 + 6100); a man of
    60 with 1 mg/dL at 72 kg has (140 - 60) * 72 / 72 = 80 mL/min, a woman 0.85 of it."""
    assert covariate_by_formula("Janmahasatian(72.25 kg, 170 cm, male)") == (
        pytest.approx(669757.5 / 12080),
        "kg",
    )
    assert covariate_by_formula("janmahasatian(woman, 1.7 m, 72.25 kg)")[0] == pytest.approx(669757.5 / 14880)
    assert covariate_by_formula("CockcroftGault(72 kg, 60 years, 1 mg/dL, man)") == (
        pytest.approx(80.0),
        "mL/min",
    )
    assert covariate_by_formula("Cockcroft-Gault(female, 1 mg/dL, 72 kg, 60 y)")[0] == pytest.approx(68.0)


def test_creatinine_may_be_an_amount_of_substance():
    """1 mg/dL is 88.4 umol/L."""
    in_mass, _ = covariate_by_formula("CockcroftGault(72 kg, 60 years, 1 mg/dL, male)")
    in_amount, _ = covariate_by_formula("CockcroftGault(72 kg, 60 years, 88.4 umol/L, male)")
    assert in_amount == pytest.approx(in_mass, rel=1e-4)


@pytest.mark.parametrize("name", FORMULAS)
def test_the_example_of_each_formula_can_be_read(name):
    value, unit = covariate_by_formula(FORMULAS[name].example)
    assert value > 0 and unit == FORMULAS[name].unit


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Mostella(70 kg, 172 cm)", 'did you mean "Mosteller"?'),
        ("Mosteller(70 kg, 65 kg)", "two of a kind: weight"),
        ("Mosteller(70 kg)", "Mosteller takes one weight and one height; write for instance"),
        ("Mosteller(70 kg, 172 cm, female)", "takes one weight and one height"),
        ("Mosteller(70 kg, 1.72 cm)", "height 1.72 cm is outside 30 to 260 cm"),
        ("Mosteller(70, 172)", '"70" is no weight'),
        ("Mosteller(70 kg, tall)", "is not a number with a unit"),
        ("Janmahasatian(70 kg, 172 cm)", "takes one weight, one height and one sex"),
        ("CockcroftGault(70 kg, 12 years, 0.9 mg/dL, female)", "age 12 years is outside 18 to 110"),
        ("CockcroftGault(70 kg, 60 d, 0.9 mg/dL, female)", '"60 d" is no weight'),
    ],
)
def test_what_no_person_has_is_refused(text, said):
    with pytest.raises(InputError) as error:
        covariate_by_formula(text)
    assert said in str(error.value)


def test_a_formula_stands_where_a_value_is_asked_for():
    people = pkpd.virtual_subjects("low_dose_il2", 2, covariates={"BSA": "Mosteller(70 kg, 172 cm)"})
    k = people.kernel.PARAMETERS.index("BSA")
    assert people.values[:, k] == pytest.approx([1.8288, 1.8288], abs=1e-4)


def test_a_formula_of_another_kind_does_not_fit_the_parameter():
    with pytest.raises(UnitError, match="kg"):
        pkpd.virtual_subjects("low_dose_il2", 2, covariates={"BSA": "Janmahasatian(70 kg, 172 cm, male)"})
