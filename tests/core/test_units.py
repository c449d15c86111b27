"""Claim: a unit means one thing; what does not convert says so, and nothing that measures different things
ever does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkpd.core import units
from pkpd.core.errors import UnitError
from pkpd.core.units import Bridge

IL2 = (Bridge(18, "MIU", 1.1, "mg"), Bridge(1, "mol", 15.3, "kg"))


@pytest.mark.parametrize(
    ("source", "target", "factor"),
    [
        ("h", "min", 60),
        ("week", "d", 7),
        ("days", "hours", 24),
        ("MIU", "IU", 1e6),
        ("MIU", "kIU", 1e3),
        ("IU/mL", "MIU/L", 1e-3),
        ("ng/mL", "mg/L", 1e-3),
        ("ug/mL", "mg/L", 1),
        ("nM", "nmol/L", 1),
        ("pM", "pmol/mL", 1e-3),
        ("cells/uL", "1/uL", 1),
        ("10^9/L", "cells/uL", 1e3),
        ("percent", "1", 0.01),
        ("fraction", "%", 100),
        ("mL/min", "L/h", 0.06),
        ("µg", "ug", 1),
        ("IU·h/mL", "IU.h/mL", 1),
        ("MIU/m2", "IU/m^2", 1e6),
        ("mg/kg", "ug/g", 1),
        ("L/h/kg", "L/(h*kg)", 1),
        ("1/h", "h^-1", 1),
        ("m^(1/2)", "cm^0.5", 10),
    ],
)
def test_factor(source: str, target: str, factor: float) -> None:
    assert units.factor(source, target) == pytest.approx(factor, rel=1e-12)
    assert units.factor(target, source) == pytest.approx(1 / factor, rel=1e-12)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("MIU", "mg"),
        ("MIU/m^2", "MIU"),
        ("MIU/kg", "MIU"),
        ("mg/kg", "1"),
        ("mL/L", "percent"),
        ("mg", "nmol"),
        ("h", "mg"),
        ("IU/mL", "pM"),
        ("1/uL", "1"),
    ],
)
def test_what_measures_different_things_does_not_convert(source: str, target: str) -> None:
    with pytest.raises(UnitError, match="cannot be"):
        units.factor(source, target)


def test_bridges_say_how_activity_becomes_mass_and_amount() -> None:
    assert units.factor("MIU", "ug", IL2) == pytest.approx(1100 / 18)
    assert units.factor("MIU", "nmol", IL2) == pytest.approx(1100 / 18 / 15.3)
    # 1 IU/mL is 4.0 pM: 61 pg and 15.3 kg/mol
    assert units.factor("IU/mL", "pM", IL2) == pytest.approx(3.994, rel=1e-3)
    assert units.factor("pmol/L", "IU/mL", IL2) == pytest.approx(1 / 3.994, rel=1e-3)
    with pytest.raises(UnitError, match="bridge"):
        units.factor("MIU", "nmol", IL2[:1])
    with pytest.raises(UnitError):
        units.factor("MIU/m^2", "mg", IL2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mgg", 'did you mean "mg"'),
        ("miu", "MIU"),
        ("iu", 'did you mean "IU"'),
        ("mcg", "write ug"),
        ("U/mL", "write IU"),
        ("month", "28 d"),
        ("year", "365.25 d"),
        ("kDa", "kg/mol"),
        ("parsec", "known are"),
        ("", "missing"),
        ("mg/", "missing"),
        ("/mg", "expected a unit"),
        ("mg L", r"expected \* or /"),
        ("(mg", "not closed"),
        ("mg)", "not opened"),
        ("m^", "expected a number after"),
        ("m^x", "expected a number after"),
        ("m^99", "exponent beyond"),
        ("m^(1/0)", "division by zero"),
        ("m999999999999999999", "exponent beyond"),
        ("0/L", "cannot be part"),
        ("1e999", "cannot be part"),
        ("mg/L;", "cannot stand"),
        ("mg__import__", "cannot stand"),
        ("é", "cannot stand"),
        ("(" * 50 + "mg", "parentheses"),
        ("mg*" * 1000, "3000 characters"),
        ("nan", "unknown unit"),
    ],
)
def test_a_unit_that_is_none_is_said_to_be_none(text: str, said: str) -> None:
    with pytest.raises(UnitError, match=said):
        units.parse(text)


@given(st.text(max_size=30))
def test_any_text_is_a_unit_or_a_unit_error(text: str) -> None:
    try:
        unit = units.parse(text)
    except UnitError:
        return
    assert unit.scale > 0


simple = st.tuples(st.sampled_from(units.known()), st.integers(-3, 3).filter(bool))


@given(st.lists(simple, min_size=1, max_size=4))
def test_printing_a_unit_and_reading_it_gives_it_back(parts: list[tuple[str, int]]) -> None:
    unit = units.parse("*".join(f"{symbol}^{power}" for symbol, power in parts))
    again = units.parse(str(unit))
    assert again.same(unit)
    assert str(again) == str(unit)


def converts(source: str, target: str) -> bool:
    try:
        units.factor(source, target)
    except UnitError:
        return False
    return True


@given(st.sampled_from(units.known()), st.sampled_from(units.known()), st.sampled_from(units.known()))
def test_conversion_is_transitive_and_invertible(a: str, b: str, c: str) -> None:
    if converts(a, b) and converts(b, c):
        assert units.factor(a, b) * units.factor(b, c) == pytest.approx(units.factor(a, c))
        assert units.factor(a, b) * units.factor(b, a) == pytest.approx(1)


def test_a_quantity_is_a_number_with_a_unit() -> None:
    assert units.quantity("1.73 m^2") == (1.73, "m^2")
    assert units.quantity("-5e-3mg/L") == (-0.005, "mg/L")
    assert units.quantity("0.4") == (0.4, "1")
    for text in ("", "mg", "1e999 mg", "1 mgg", "nan mg", "1,5 mg"):
        with pytest.raises(UnitError):
            units.quantity(text)
