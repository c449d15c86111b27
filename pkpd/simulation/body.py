"""Body surface area of a person by named formulas, from weight and height.

    Mosteller(70 kg, 172 cm)   sqrt(height weight / 3600)
    DuBois(70 kg, 172 cm)      0.007184 weight^0.425 height^0.725

in kg and cm: Mosteller 1987, N Engl J Med 317:1098; Du Bois & Du Bois 1916, Arch Intern Med 17:863.

A text like these stands wherever a value of a parameter in m^2 is asked for, such as ``--set "BSA =
Mosteller(70 kg, 172 cm)"``. It is taken apart, never evaluated.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pkpd.core import units
from pkpd.core.errors import InputError, UnitError
from pkpd.core.names import question_or_list

FORMULAS: dict[str, Callable[[float, float], float]] = {
    "Mosteller": lambda weight, height: (height * weight / 3600.0) ** 0.5,
    "DuBois": lambda weight, height: 0.007184 * weight**0.425 * height**0.725,
}
"""m^2 from kg and cm."""
_PEOPLE = {"kg": (1.5, 400.0), "cm": (30.0, 260.0)}
_CALL = re.compile(r"\s*([A-Za-z][A-Za-z ]*?)\s*\(([^(),]*),([^(),]*)\)\s*")


def formula_of(text: str) -> re.Match[str] | None:
    """Whether a text is a formula with a weight and a height, whatever it is called."""
    return _CALL.fullmatch(text)


def body_surface_area(text: str) -> float:
    """``"Mosteller(70 kg, 172 cm)"`` in m^2; weight and height in any units, in any order.

    Raises:
        InputError: an unknown formula, sizes that no person has, or anything but a weight and a height.
    """
    found = formula_of(text)
    example = 'write for instance "Mosteller(70 kg, 172 cm)"'
    if found is None:
        raise InputError(f'"{text[:60]}" is no formula with a weight and a height; {example}')
    names = {name.lower(): name for name in FORMULAS}
    key = found[1].replace(" ", "").lower()
    if key not in names:
        known = list(FORMULAS)
        raise InputError(f'there is no formula "{found[1][:40]}"; {question_or_list(found[1], known)}')
    sizes: dict[str, float] = {}
    for part in (found[2], found[3]):
        value, unit = units.quantity(part)
        for size in _PEOPLE:
            try:
                sizes[size] = value * units.factor(unit, size)
            except UnitError:
                continue
    if set(sizes) != set(_PEOPLE):
        raise InputError(f'"{text[:60]}": a formula takes one weight and one height; {example}')
    for size, (low, high) in _PEOPLE.items():
        if not low <= sizes[size] <= high:
            raise InputError(
                f'"{text[:60]}": {sizes[size]:g} {size} is no size of a person ({low:g} to {high:g} {size})'
            )
    return FORMULAS[names[key]](sizes["kg"], sizes["cm"])
