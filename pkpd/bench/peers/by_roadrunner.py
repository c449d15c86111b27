"""libRoadRunner: SBML compiled by LLVM, CVODE behind it, no Python between steps. The model is written for it
from our generated source."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import partial

import antimony
import numpy as np
import roadrunner

from pkpd.bench.peers.task import Floats, PeerSolver, Task

MAX_STEPS = 1_000_000
roadrunner.Logger.setLevel(roadrunner.Logger.LOG_FATAL)


def solvers(task: Task) -> dict[str, Callable[[], PeerSolver]]:
    """CVODE's BDF."""
    return {"CVODE BDF": partial(_cvode, task)}


class _Antimony(ast.NodeTransformer):
    """Python's expressions as Antimony's: elements as names, conditions as piecewise."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.Name:
        assert isinstance(node.value, ast.Name)
        assert isinstance(node.slice, ast.Constant)
        return ast.Name(f"{node.value.id}_{node.slice.value!r}", ast.Load())

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(node.id if node.id in ("exp", "log", "sqrt") else f"v_{node.id}", ast.Load())

    def visit_IfExp(self, node: ast.IfExp) -> ast.Call:
        self.generic_visit(node)
        return ast.Call(ast.Name("piecewise", ast.Load()), [node.body, node.test, node.orelse], [])


def model_text(task: Task) -> str:
    """The right-hand side in Antimony: parameters and states p_0.. and y_0.., intermediate values v_NAME."""
    tree = ast.parse(task.kernel.source)
    body = next(node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "rhs").body
    rules, varies = [], {"y"}
    for node in body:
        if not isinstance(node, ast.Assign):
            continue
        (target,) = node.targets
        names = {inner.id for inner in ast.walk(node.value) if isinstance(inner, ast.Name)}
        text = ast.unparse(_Antimony().visit(node.value)).replace("**", "^")
        if isinstance(target, ast.Subscript):
            assert isinstance(target.slice, ast.Constant)
            rules.append(f"y_{target.slice.value!r}' = {text}")
        else:
            assert isinstance(target, ast.Name)
            moving = bool(names & varies)
            if moving:
                varies.add(target.id)
            rules += [f"var v_{target.id}", f"v_{target.id} {':=' if moving else '='} {text}"]
    head = [f"p_{i} = {value!r}" for i, value in enumerate(task.functions.q.tolist())]
    head += [f"var y_{i}; y_{i} = {value!r}" for i, value in enumerate(task.y0.tolist())]
    return "\n".join(["model peer", *head, *rules, "end"])


def _cvode(task: Task) -> PeerSolver:
    if antimony.loadAntimonyString(model_text(task)) < 0:
        raise ArithmeticError(antimony.getLastError())
    runner = roadrunner.RoadRunner(antimony.getSBMLString("peer"))
    names = [f"y_{i}" for i in range(task.n)]
    runner.timeCourseSelections = names
    runner.integrator.setValue("maximum_num_steps", MAX_STEPS)
    runner.integrator.setValue("max_output_rows", 1_000_000)

    def solve(rtol: float, atol: Floats) -> Floats:
        runner.integrator.setValue("relative_tolerance", rtol)
        runner.integrator.setValue("absolute_tolerance", float(np.min(atol)))

        def advance(y: Floats, grid: Floats) -> Floats:
            for name, value in zip(names, y, strict=True):
                runner.setValue(name, value)
            return np.array(
                runner.simulate(times=grid - grid[0])
            )  # t + h = t otherwise: its first steps are tiny

        runner.reset()
        return task.march(advance)

    return solve
