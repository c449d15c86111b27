"""Every method's coefficients satisfy the order conditions it claims, and a coefficient with one wrong digit
is refused.

The conditions are written down here from rooted trees (Hairer, Norsett & Wanner, Solving ODEs I, section
II.2; for Rosenbrock methods Solving ODEs II, theorem IV.7.3), not taken from the package: a tree of r nodes
asks that the elementary weight be 1/density; within a step, at theta, that it be theta^r/density.
"""

import dataclasses
import importlib
import itertools
import math

import numpy as np
import pytest

from pkpd.ode import layout, tangent
from pkpd.ode.methods import explicit, rodas5p, rosenbrock, tsit5
from pkpd.ode.methods.tableau import RosenbrockTableau, RungeKuttaTableau

EXPLICIT = [importlib.import_module(f"pkpd.ode.methods.{name}").TABLEAU for name in layout.EXPLICIT_METHODS]
ROSENBROCK = [importlib.import_module(f"pkpd.ode.methods.{name}").TABLEAU for name in layout.STIFF_METHODS]
TABLES = [*EXPLICIT, *ROSENBROCK]
DIGITS = 1e-11  # sums of sixteen-digit coefficients as large as 165, transformed: what cancels is below this
THETAS = (0.1, 0.37, 0.5, 0.8, 1.0)


def trees(order):
    """Rooted trees of up to ``order`` nodes, each a sorted tuple of its branches, by number of nodes."""
    of_size = {1: [()]}
    for size in range(2, order + 1):
        found = set()
        for sizes in _partitions(size - 1):
            for branches in itertools.product(*(of_size[s] for s in sizes)):
                found.add(tuple(sorted(branches)))
        of_size[size] = sorted(found)
    return of_size


def _partitions(n, largest=None):
    if n == 0:
        yield ()
    for first in range(min(n, largest or n), 0, -1):
        for rest in _partitions(n - first, first):
            yield (first, *rest)


def nodes(tree):
    return 1 + sum(map(nodes, tree))


def density(tree):
    return nodes(tree) * math.prod(map(density, tree))


def stage_weights(tree, many, single):
    """(s,) what a tree contributes at each stage; nodes with one branch use the matrix ``single``, others
    ``many``."""
    if len(tree) == 1:
        return single @ stage_weights(tree[0], many, single)
    return math.prod(
        (many @ stage_weights(branch, many, single) for branch in tree), start=np.ones(len(many))
    )


def defects(weights, many, single, order, theta=1.0):
    """The largest violation of an order condition, for each order up to ``order``."""
    return np.array(
        [
            max(
                abs(weights @ stage_weights(tree, many, single) * density(tree) - theta**size)
                for tree in trees(order)[size]
            )
            for size in range(1, order + 1)
        ]
    )


def scheme(table):
    """(weights, embedded weights, theta -> weights within the step, matrix of many branches, matrix of one
    branch)."""
    if isinstance(table, RungeKuttaTableau):
        q = np.arange(1, table.dense.shape[1] + 1)
        return table.b, table.b - table.error, lambda x: table.dense @ x**q, table.a, table.a
    alpha, gamma = table.original()

    def inside(x):
        return (x * (table.m + (1 - x) * sum(x**j * row for j, row in enumerate(table.dense)))) @ gamma

    return table.weights(), (table.m - table.error) @ gamma, inside, alpha, alpha + gamma


def test_the_trees_are_all_there():
    assert [len(group) for group in trees(8).values()] == [1, 1, 2, 4, 9, 20, 48, 115]  # the classical count


def test_every_method_has_its_table_its_functions_and_its_room():
    for homes, tables, stages in (
        (explicit.METHODS, EXPLICIT, layout.EXPLICIT_METHODS),
        (rosenbrock.METHODS, ROSENBROCK, layout.STIFF_METHODS),
    ):
        assert {table.name: len(table.c) for table in tables} == stages
        for table in tables:
            own = homes[table.name]
            assert own.A is table.a and table.order == own.ORDER and own.B_ERROR is table.error
            assert max(stages.values()) + 2 <= layout.WEIGHTS
    assert set(tangent.METHODS) == set(layout.EXPLICIT_METHODS) | set(layout.STIFF_METHODS)
    assert tangent.METHODS["vern7"].EXPLICIT_END == 10 and tangent.METHODS["rodas4"].STIFF_STAGES == 6


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
class TestEvery:
    def test_order_of_the_step(self, table):
        weights, _, _, many, single = scheme(table)
        found = defects(weights, many, single, table.order + 1)
        assert np.all(found[: table.order] < DIGITS)
        assert found[table.order] > 1e-4  # and no more than claimed, so the conditions above have teeth

    def test_order_of_the_embedded_step(self, table):
        """One less than the step's: the error estimate measures the term that the step gets right."""
        _, embedded, _, many, single = scheme(table)
        found = defects(embedded, many, single, table.order)
        assert np.all(found[:-1] < DIGITS)
        assert found[-1] > 1e-4

    def test_order_of_the_dense_output(self, table):
        """One less than the step's within a step, the step's own at its end."""
        weights, _, inside, many, single = scheme(table)
        for theta in THETAS:
            found = defects(inside(theta), many, single, table.order - 1, theta)
            assert np.all(found < DIGITS)
        np.testing.assert_allclose(inside(1.0), weights, rtol=0, atol=DIGITS)

    def test_its_own_characterisation(self, table):
        assert table.order <= table.linear_order() <= table.order + 1


@pytest.mark.parametrize("table", EXPLICIT, ids=lambda table: table.name)
def test_a_stage_of_an_explicit_method_is_the_first_of_the_next_step(table):
    np.testing.assert_array_equal(table.a[table.end], table.b)
    assert table.c[table.end] == 1.0
    assert table.end == {"tsit5": 6, "vern7": 10}[table.name]
    assert (
        table.c[table.stages - 1] == table.c[table.stages - 2] == 1.0
    )  # the detection of stiffness asks for it


@pytest.mark.parametrize("table", EXPLICIT, ids=lambda table: table.name)
def test_stability_limit_is_where_the_polynomial_leaves_the_unit_disc(table):
    limit = table.stability_limit()
    R = np.polynomial.Polynomial(table.stability_coefficients())
    assert abs(R(-limit + 0.01)) <= 1.0 < abs(R(-limit - 0.01))
    elsewhere = {"tsit5": 3.5068, "vern7": 4.6400}  # the values in use in OrdinaryDiffEq.jl
    assert limit == pytest.approx(elsewhere[table.name], abs=0.01)


@pytest.mark.parametrize("table", ROSENBROCK, ids=lambda table: table.name)
def test_rosenbrock_methods_are_l_stable_and_stiffly_accurate(table):
    for z in -np.logspace(-3, 12, 200):
        assert abs(table.stability(z)) <= 1.0
    assert abs(table.stability(-1e9)) < 1e-6
    z = 1j * np.logspace(-3, 6, 400)  # A-stable: the imaginary axis bounds the left half plane
    alpha, gamma = table.original()
    ones = np.ones(len(table.c))
    for value in z:
        R = 1 + value * table.weights() @ np.linalg.solve(np.eye(len(ones)) - value * (alpha + gamma), ones)
        assert abs(R) <= 1.0 + 1e-9


# ---- wrong coefficients


def single_changes(table, fields):
    """Every table with one coefficient off in its sixth digit."""
    for name in fields:
        array = getattr(table, name)
        for index in np.ndindex(array.shape):
            if array[index] != 0.0:
                wrong = array.copy()
                wrong[index] *= 1.0 + 1e-5
                yield name, index, {name: wrong}


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_one_wrong_digit_in_a_step_is_refused(table):
    fields = ("a", "b", "c", "error", "dense") if isinstance(table, RungeKuttaTableau) else ("a", "C", "c")
    count = 0
    for name, index, change in single_changes(table, fields):
        with pytest.raises(ValueError, match=table.name):
            dataclasses.replace(table, **change)
            pytest.fail(f"{name}{index} may be wrong unnoticed")
        count += 1
    assert count > 30


@pytest.mark.parametrize("table", ROSENBROCK, ids=lambda table: table.name)
def test_one_wrong_digit_in_the_dense_output_breaks_its_order(table):
    for name, index, change in single_changes(table, ("dense",)):
        if index[1] == len(table.c) - 1:
            # The error estimate itself: small to this very order, so any multiple of it may be added
            continue
        _, _, inside, many, single = scheme(dataclasses.replace(table, **change))
        assert defects(inside(0.5), many, single, table.order - 1, 0.5).max() > 1e3 * DIGITS, (name, index)


def test_a_stage_that_needs_itself_is_refused():
    a = tsit5.TABLEAU.a.copy()
    a[3, 3] = 1e-3
    with pytest.raises(ValueError, match="lower triangular"):
        dataclasses.replace(tsit5.TABLEAU, a=a)
    C = rodas5p.TABLEAU.C.copy()
    C[0, 1] = 1e-3
    with pytest.raises(ValueError, match="lower triangular"):
        dataclasses.replace(rodas5p.TABLEAU, C=C)


def test_a_method_cannot_claim_more_than_it_does():
    with pytest.raises(ValueError, match="order 5 is below 6"):
        dataclasses.replace(tsit5.TABLEAU, order=6)
    with pytest.raises(ValueError, match="order 6 is below 7"):  # one more on linear problems than on others
        dataclasses.replace(rodas5p.TABLEAU, order=7)


def test_a_rosenbrock_method_must_damp_what_is_infinitely_stiff():
    """The same stages with another diagonal keep no promise at infinity, nor any order."""
    with pytest.raises(ValueError, match="rodas5p"):
        dataclasses.replace(rodas5p.TABLEAU, gamma=0.25)
    assert isinstance(rodas5p.TABLEAU, RosenbrockTableau)
