"""How to integrate: what changes how closely and how fast a solve is computed, but not what it means."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from pkpd.core.arguments import ABSENT, FLAG, NUMBER, NUMBERS, TEXT, TEXTS, WHOLE, check
from pkpd.core.errors import InputError
from pkpd.ode import layout
from pkpd.solver.executors import EXECUTOR, Executor, executor_of

# Relative tolerances by task. Global errors stay within a few of them (tests/ode/test_integrate.py).
SIMULATION = 1e-6
"""Of what a person asks for: six digits cost about a third more than four."""
BANDS = FIT = 1e-4
"""Of quantiles over subjects, and of residuals: far below how people differ and numbers are reported."""
GRADIENT = 1e-2
"""Of the derivatives that a search goes by. Those of the shipped fit are then within 0.03 % (in the norm of
the Jacobian, at four points of the posterior; 0.003 % at 1e-3, for half as much work again), and the slope of
its -2 log likelihood within 0.14 for a step of one standard error: a search ends 0.005 above the minimum."""
COMPARISON = 1e-3
"""Of subjects whose endpoints are compared: these are then within 0.1 % of exact
(tests/decision/test_endpoints.py), the smallest concentrations within 0.2 %, but for a subject whose course
just grazes a level; at half the time of 1e-4."""


@dataclass(frozen=True)
class Options:
    """How to integrate: ``solve(..., options=Options(rtol=1e-8, method="rodas5p"))``.

    Attributes
    ----------
    rtol, atol : a step is accepted when each state's error is within ``atol + rtol |y|``; atol : scalar or
        (n_states,). Without atol, the scale of a state is a small fraction of the largest value it has had.
    method : "auto" (explicit, and stiffly accurate Rosenbrock where the problem proves stiff, both chosen by
        rtol), "tsit5" or "vern7" (explicit), "rodas4" or "rodas5p" (stiff); "linear" for a model that is
        linear in its states, by the matrix exponential, without any tolerance.
    slack : how many times larger than those of the states the errors of sensitivities, to relative changes,
        may be in a step. They are the exact derivatives of the steps taken; with the default their control
        adds few steps, with 1 they are as accurate as the states at about twice the cost.
    h_max : no step is longer. A rise of the rates that nothing announces (no dose, no condition on the time)
        and that is short against the steps of what comes before it may be passed over: this is for whoever
        knows of one.
    max_steps : a subject that takes more fails.
    non_negative : states that are to be kept from falling below nought, or True for all: a fall counts as
        error, and what is left of one within the tolerance is clipped, after ``counts[:, 6]`` steps. Not
        together with sensitivities, which a clipped step does not have.
    threads : how many work at a time, by default as many as this process may use cores; or an executor:
        ``Threads(n)``, ``Processes(n)``, ``Dask(address)``. No result depends on it.
    lanes : whether many subjects are integrated side by side in vector registers, which is done where neither
        sensitivities, roots nor ``non_negative`` are asked for, and not with vern7. A subject's result does
        not depend on it, but for the last digits of exp, log and powers in the model.

    Raises ``InputError``: a value that is out of its range, an unknown method.

    Examples
    --------
    >>> import pkpd
    >>> options = pkpd.Options(rtol=1e-9, method="rodas5p")
    >>> kernel = pkpd.load("one_compartment_iv")
    >>> doses = pkpd.Schedule.parse("100 mg iv once").events_for(kernel)
    >>> pkpd.solve(kernel, kernel.VALUES, doses, [6.0], options=options).outputs[0, :, 0].round(4)
    array([1.8486])
    """

    rtol: float = SIMULATION
    atol: ArrayLike | None = None
    method: str = "auto"
    slack: float = 30.0
    h_max: float = np.inf
    max_steps: int = 1_000_000
    non_negative: bool | Sequence[str] = False
    threads: int | Executor | None = None
    lanes: bool = True

    def __post_init__(self) -> None:
        for name, kind in _KINDS.items():
            check("Options", name, getattr(self, name), kind)
        if not 0.0 < self.rtol < 1.0:
            raise InputError(f"rtol must lie between 0 and 1, not {self.rtol!r}")
        if self.method not in (*layout.METHODS, layout.LINEAR):
            raise InputError(
                f'unknown method "{self.method}"; there are {", ".join((*layout.METHODS, layout.LINEAR))}'
            )
        if not self.h_max > 0.0:
            raise InputError(f"h_max, the longest step, must be a time above 0, not {self.h_max!r}")

    @property
    def executor(self) -> Executor:
        """Who does the work."""
        return executor_of(self.threads)


_KINDS = {
    "rtol": NUMBER,
    "atol": NUMBERS | ABSENT,
    "method": TEXT,
    "slack": NUMBER,
    "h_max": NUMBER,
    "max_steps": WHOLE,
    "non_negative": FLAG | TEXTS,
    "threads": EXECUTOR,
}
HOW = (*_KINDS, "lanes")
"""What is said by options."""
USUAL = Options()
