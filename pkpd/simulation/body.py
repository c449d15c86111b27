"""What a person brings along, by named formulas from weight, height, sex, age and serum creatinine.

    Mosteller(70 kg, 172 cm)                       body surface area, m^2
        sqrt(height weight / 3600)                 (Mosteller 1987, N Engl J Med 317:1098)
    DuBois(70 kg, 172 cm)                          body surface area, m^2
        0.007184 weight^0.425 height^0.725         (Du Bois & Du Bois 1916, Arch Intern Med 17:863)
    Janmahasatian(70 kg, 172 cm, female)           fat-free mass, kg; BMI in kg/m^2
        9270 weight / (8780 + 244 BMI), of a man   (Janmahasatian et al. 2005, Clin Pharmacokinet 44:1051)
        9270 weight / (6680 + 216 BMI)
    CockcroftGault(70 kg, 60 years, 0.9 mg/dL, female)  creatinine clearance, mL/min
        (140 - age) weight / (72 creatinine),      (Cockcroft & Gault 1976, Nephron 16:31)
        of a woman 0.85 of it

in kg, cm, years and mg/dL. A text like these stands wherever a value of a parameter in such a unit is
asked for, such as ``--set "BSA = Mosteller(70 kg, 172 cm)"``, with its parts in any units and any order. It
is taken apart, never evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from pkpd.core import units
from pkpd.core.errors import InputError, UnitError
from pkpd.core.names import question_or_list

CREATININE_G_PER_MOL = 113.12  # C4H7N3O


class Formula(NamedTuple):
    """A covariate by a formula: its unit, what it takes of a person, in this order, and a text as example."""

    unit: str
    takes: tuple[str, ...]
    value: Callable[..., float]
    example: str


def _fat_free_mass(weight: float, height: float, sex: str) -> float:
    index = weight / (height / 100.0) ** 2
    resting, rising = (8780.0, 244.0) if sex == "female" else (6680.0, 216.0)
    return 9270.0 * weight / (resting + rising * index)


def _creatinine_clearance(weight: float, age: float, creatinine: float, sex: str) -> float:
    return (140.0 - age) * weight / (72.0 * creatinine) * (0.85 if sex == "female" else 1.0)


FORMULAS: dict[str, Formula] = {
    "Mosteller": Formula(
        "m^2",
        ("weight", "height"),
        lambda weight, height: (height * weight / 3600.0) ** 0.5,
        "Mosteller(70 kg, 172 cm)",
    ),
    "DuBois": Formula(
        "m^2",
        ("weight", "height"),
        lambda weight, height: 0.007184 * weight**0.425 * height**0.725,
        "DuBois(70 kg, 172 cm)",
    ),
    "Janmahasatian": Formula(
        "kg",
        ("weight", "height", "sex"),
        _fat_free_mass,
        "Janmahasatian(70 kg, 172 cm, female)",
    ),
    "CockcroftGault": Formula(
        "mL/min",
        ("weight", "age", "creatinine", "sex"),
        _creatinine_clearance,
        "CockcroftGault(70 kg, 60 years, 0.9 mg/dL, female)",
    ),
}
"""By the name that stands before the bracket."""

_PEOPLE = {
    "weight": ("kg", 1.5, 400.0),
    "height": ("cm", 30.0, 260.0),
    "age": ("years", 18.0, 110.0),  # the formula with an age is of adults
    "creatinine": ("mg/dL", 0.1, 30.0),
}
_SEXES = {"female": "female", "woman": "female", "male": "male", "man": "male"}
_CALL = re.compile(r"\s*([A-Za-z][A-Za-z -]*?)\s*\(([^()]*)\)\s*")
_AGE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(?:y|year|years)\s*")


def formula_of(text: str) -> re.Match[str] | None:
    """Whether a text looks like a formula of a person, whatever it is called."""
    return _CALL.fullmatch(text)


def covariate_by_formula(text: str) -> tuple[float, str]:
    """``"Mosteller(70 kg, 172 cm)"``: its value, and the unit of it ("m^2").

    Raises:
        InputError: an unknown formula, something that no person has, anything missing or too many.
    """
    found = formula_of(text)
    if found is None:
        raise InputError(
            f'"{text[:60]}" is no formula of a person; write for instance "{FORMULAS["Mosteller"].example}"'
        )
    names = {name.lower(): name for name in FORMULAS}
    key = re.sub(r"[ -]", "", found[1]).lower()
    if key not in names:
        known = list(FORMULAS)
        raise InputError(f'there is no formula "{found[1][:40]}"; {question_or_list(found[1], known)}')
    formula = FORMULAS[names[key]]
    person = _person(text, found[2])
    if set(person) != set(formula.takes):
        *first, last = (f"one {name}" for name in formula.takes)
        raise InputError(
            f'"{text[:60]}": {names[key]} takes {", ".join(first)} and {last}; '
            f'write for instance "{formula.example}"'
        )
    return formula.value(*(person[name] for name in formula.takes)), formula.unit


def _person(text: str, parts: str) -> dict[str, float | str]:
    """What stands between the brackets, by what it is. Raises ``InputError`` for what no person has."""
    person: dict[str, float | str] = {}
    for part in parts.split(","):
        name, value = _known(text, part)
        if name in person:
            raise InputError(f'"{text[:60]}" has two of a kind: {name}')
        person[name] = value
        if isinstance(value, float):
            unit, low, high = _PEOPLE[name]
            if not low <= value <= high:
                told = f"{name} {value:g} {unit} is outside {low:g} to {high:g} {unit}"
                raise InputError(f'"{text[:60]}": {told}')
    return person


def _known(text: str, part: str) -> tuple[str, float | str]:
    word = part.strip().lower()
    if word in _SEXES:
        return "sex", _SEXES[word]
    if age := _AGE.fullmatch(word):
        return "age", float(age[1])
    try:
        value, unit = units.quantity(part)
    except UnitError as error:
        raise InputError(f'"{text[:60]}": {error}') from None
    for name in ("weight", "height", "creatinine"):
        try:
            return name, value * units.factor(unit, _PEOPLE[name][0])
        except UnitError:
            continue
    try:  # an amount of substance
        return "creatinine", value * units.factor(unit, "mol/dL") * 1000.0 * CREATININE_G_PER_MOL
    except UnitError:
        raise InputError(
            f'"{text[:60]}": "{part.strip()[:40]}" is no weight, height, age, creatinine or sex; they are '
            "written like 70 kg, 172 cm, 60 years, 0.9 mg/dL, female"
        ) from None
