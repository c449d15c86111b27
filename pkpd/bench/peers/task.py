"""What a peer is given: our generated functions, or a user's, for one parameter set, doses as jumps, output
times cut at the doses.

``functions`` is the one place that knows how a generated kernel looks. Peers get the same right-hand side and
Jacobian as our own integrator, with what parameters alone decide computed once per subject where the kernel
does so. Where we have no Jacobian, they have none either.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pkpd.bench.problem import Problem
from pkpd.ode.functions import FunctionKernel
from pkpd.solver.kernel import Kernel

Floats = NDArray[np.float64]
PeerSolver = Callable[[float, Floats], Floats]  # (rtol, atol (n_states,)) -> states (n_times, n_states)


class _Branchless(ast.NodeTransformer):
    """``a if c else b`` as ``where(c, a, b)``: for libraries that trace."""

    def visit_IfExp(self, node: ast.IfExp) -> ast.Call:
        self.generic_visit(node)
        return ast.Call(ast.Name("where", ast.Load()), [node.test, node.body, node.orelse], [])


def generated(kernel: Any, where: Callable[..., Any] | None = None, **names: Any) -> dict[str, Any]:
    """The functions of a kernel's generated source, in plain Python, over the given ``exp``, ``log``,
    ``sqrt`` (default: math's)."""
    tree = ast.parse(kernel.source)
    tree.body = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    if where is not None:
        tree = ast.fix_missing_locations(_Branchless().visit(tree))
    space: dict[str, Any] = {"exp": math.exp, "log": math.log, "sqrt": math.sqrt, "where": where} | names
    # our own generator's output, not a user's text
    exec(compile(tree, kernel.NAME, "exec"), space)  # noqa: S102
    return space


def extended(kernel: Kernel, space: dict[str, Any], p: Sequence[Any] | Floats) -> list[Any]:
    """Parameters followed by the constants that the kernel derives from them, if it does."""
    values = [*p, *[0.0] * (kernel.n_prepared - kernel.n_params)]
    if "constants" in space:
        space["constants"](values)
    return values


@dataclass(frozen=True)
class Functions:
    """Compiled by numba for one parameter set ``q``: rhs(t, y) -> dy, jac(t, y) -> (n, n), and both in
    place; jac and jac_into are None where there is no Jacobian."""

    q: Floats
    core: Callable[..., None]  # (t, y, q, dy)
    rhs: Callable[..., Floats]
    jac: Callable[..., Floats] | None
    rhs_into: Callable[..., None]  # (t, y, dy)
    jac_into: Callable[..., None] | None  # (t, y, dy, J), J (n, n) with zeros where it is always zero


def functions(kernel: Kernel, p: Floats) -> Functions:
    """Right-hand side and Jacobian of a kernel for one parameter set, through numba without its checks for
    division by zero."""
    from numba import njit

    compile_ = njit(error_model="numpy", inline="never")
    if isinstance(kernel, FunctionKernel):
        given = kernel.functions.get("jacobian")
        n, q = len(kernel.OUTPUTS), p
        core, dense = kernel.functions["rhs"].core, None if given is None else given.core
    else:
        space = generated(kernel)
        n, q = kernel.n_states, np.array(extended(kernel, space, p), dtype=np.float64)
        autonomous, entries = compile_(space["rhs"]), compile_(space["jacobian"])
        rows, columns = np.asarray(kernel.J_ROWS), np.asarray(kernel.J_COLS)

        @compile_
        def core(t, y, q, dy):
            autonomous(y, q, dy)

        @compile_
        def dense(t, y, q, jacobian):
            values = np.empty(rows.size)
            entries(y, q, values)
            for e in range(rows.size):
                jacobian[rows[e], columns[e]] = values[e]

    @compile_
    def rhs(t, y):
        dy = np.empty(n)
        core(t, y, q, dy)
        return dy

    @compile_
    def rhs_into(t, y, dy):
        core(t, y, q, dy)

    if dense is None:
        return Functions(q, core, rhs, None, rhs_into, None)

    @compile_
    def jac_into(t, y, dy, jacobian):
        dense(t, y, q, jacobian)

    @compile_
    def jac(t, y):
        jacobian = np.zeros((n, n))
        dense(t, y, q, jacobian)
        return jacobian

    return Functions(q, core, rhs, jac, rhs_into, jac_into)


@dataclass(frozen=True)
class Leg:
    """Between two doses: add ``jump``, integrate over ``grid``, keep ``count`` states from ``skip`` on as
    rows from ``first`` on."""

    jump: Floats
    grid: Floats
    first: int
    skip: int
    count: int


class Task:
    """A problem as a peer sees it."""

    def __init__(self, problem: Problem, p: Floats | None = None) -> None:
        self.problem = problem
        self.kernel: Any = problem.kernel
        self.times = problem.times
        self.p = problem.p if p is None else p
        self.n = problem.y0.size

    @cached_property
    def functions(self) -> Functions:
        """Compiled by numba when first asked for."""
        return functions(self.kernel, self.p)

    @cached_property
    def y0(self) -> Floats:
        """States before any dose."""
        return self.problem.y0

    @cached_property
    def doses(self) -> list[tuple[float, int, float]]:
        """(time, state, jump), sorted; lag, bioavailability and body size are in."""
        events, routes = self.problem.events, np.zeros(4 * len(self.kernel.ROUTES))
        self.kernel.call("routes", self.p, routes)
        doses = []
        for time, amount, route, duration, size in zip(
            events.time, events.amount, events.route, events.duration, events.size, strict=True
        ):
            lag, available, own, rate = routes[4 * route : 4 * route + 4]
            if duration > 0 or (np.isnan(duration) and (own or rate)):
                raise NotImplementedError("infusions: none of the problems has one")
            scale = available * (self.p[size] if size >= 0 else 1.0)
            doses.append((float(time + lag), int(self.kernel.ROUTE_TARGETS[route]), float(amount * scale)))
        return sorted(doses)

    @cached_property
    def legs(self) -> list[Leg]:
        """The horizon from the start to the last output, cut at the doses. An output at a dose's own instant
        is taken after it."""
        times = self.times
        starts = sorted({self.problem.start, *(time for time, _, _ in self.doses if time < times[-1])})
        legs = []
        for start, end in zip(starts, [*starts[1:], math.inf], strict=True):
            jump = np.zeros(self.n)
            for time, state, amount in self.doses:
                if time == start:
                    jump[state] += amount
            first, stop = np.searchsorted(times, [start, end])
            inside = times[first:stop]
            grid = np.unique(np.concatenate([[start], inside, [min(end, times[-1])]]))
            skip = int(inside.size > 0 and inside[0] > start)
            legs.append(Leg(jump, grid, int(first), skip, int(stop - first)))
        return legs

    def march(self, advance: Callable[[Floats, Floats], Floats]) -> Floats:
        """All legs one after the other; advance(y, grid) gives the states at grid, (grid.size, n)."""
        out = np.empty((self.times.size, self.n))
        y = self.y0
        for leg in self.legs:
            found = advance(y + leg.jump, leg.grid)
            out[leg.first : leg.first + leg.count] = found[leg.skip : leg.skip + leg.count]
            y = found[-1]
        return out
