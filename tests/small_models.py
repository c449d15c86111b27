"""Models of a few lines, built without units, and the generated functions as plain Python: for the tests of
derive, source, kernel."""

import importlib.util
import itertools

import mpmath
import numpy as np

from pkpd.core import library
from pkpd.model import derive, source
from pkpd.model.check import Definition, Model, Output, Parameter, Route, State, dose_units, read_model
from pkpd.model.text import parse_expression

UNBOUNDED = """model a model without bounds
time h
parameter CL = 3 [L/h]
parameter V = 30 [L]
parameter shift = 0 [mg/L]
state A [mg]
d A = -CL/V*A
route iv -> A
output C = A/V + shift [mg/L]
"""

COURSE = """\
model      an effect that comes and goes
time       h
parameter  A = 20 [percent]  a
parameter  k = 0.8 [1/h]  b
parameter  t50 = 3 [h]  c
parameter  stop = 9 [h]  d
output     up = A*(1 - exp(-k*t)) [percent]
output     wave = A*hill(t, t50, 3)*exp(-k*t) [percent]
output     gate = piecewise(A, t < stop, 0) [percent]
"""


def build(
    equations, *, parameters=None, initial=None, definitions=None, outputs=None, routes=None, name="small"
):
    """A Model from {name: text of the expression}."""
    outputs = outputs or {"first": next(iter(equations))}
    initial = initial or {}
    return Model(
        title=name,
        sources=(),
        time_unit="h",
        bridges=(),
        parameters=tuple(Parameter(key, float(value), "1") for key, value in (parameters or {}).items()),
        states=tuple(
            State(
                key,
                "mg",
                initial[key] if initial.get(key) in (None, "steady") else parse_expression(initial[key]),
            )
            if key in initial
            else State(key, "mg")
            for key in equations
        ),
        definitions=tuple(
            Definition(key, parse_expression(text), "") for key, text in (definitions or {}).items()
        ),
        equations={key: parse_expression(text) for key, text in equations.items()},
        routes=tuple(
            Route(
                key, target, **{attribute: parse_expression(text) for attribute, text in attributes.items()}
            )
            for key, (target, attributes) in (routes or {}).items()
        ),
        outputs=tuple(Output(key, parse_expression(text), "mg") for key, text in outputs.items()),
        text=f"{name} {equations} {parameters} {initial} {definitions} {outputs} {routes}",
        file=f"{name}.model",
    )


SMALL = {
    model.name: model
    for model in (
        build({"x": "-0.5*x"}, name="bare"),
        build({"x": "1"}, name="constant"),
        build({"x": "-k*x + sqrt(t)*exp(-t/T)"}, parameters={"k": 0.3, "T": 4}, name="timed"),
        build(
            {"depot": "-ka*depot", "central": "ka*depot - CL/V*central"},
            parameters={"ka": 1.1, "CL": 5, "V": 40, "F": 0.7, "tlag": 0.2, "BSA": 1.9},
            initial={"central": "base*V/CL"},
            definitions={"base": "0.1*BSA + F"},
            outputs={"C": "central/V", "total": "depot + central + base", "logC": "log(1 + central/V)"},
            routes={
                "sc": ("depot", {"lag": "tlag*BSA", "F": "F"}),
                "iv": ("central", {}),
                "pump": ("central", {"duration": "1 + base", "rate": "CL/V"}),
            },
            name="chain",
        ),
        build(
            {"a": "r - a*act", "b": "hill(a + b, K, 3) - hill(b, K)*b", "c": "hill(a, K, g*0.5) - c"},
            parameters={"r": 0.6, "K": 1.3, "g": 2.6, "m": 2},
            definitions={"u": "a + c/2", "act": "hill(u, K*m, g)", "deep": "act^2 + hill(act, 0.5, 2)"},
            outputs={"act": "act", "deep": "deep*u"},
            initial={"a": "hill(r, K, g)", "b": "steady"},
            name="hills",
        ),
        build(
            {
                "x": "min(x*k, y, 2) - abs(x - y)",
                "y": "max(k - y, 0)*x - piecewise(x*y, x < 1, x^2, x <= k, y^3)",
            },
            parameters={"k": 2.5},
            outputs={"low": "min(x, y)", "size": "abs(x*y)", "step": "piecewise(1, x > y, 0)"},
            name="kinks",
        ),
        build(
            {
                "x": "x^2 - x^-3 + x^0.5 + x^1.5 - x^-0.5 + x^12 + x^20 + x^0.7",
                "w": "x^g + g^x - (x + w)^4 + sqrt(x*w)/w^g",
            },
            parameters={"g": 1.7},
            outputs={"o": "exp(-x)*log(w)/(1 + exp(x*w))^2"},
            name="powers",
        ),
        # names that the generated functions use themselves, keywords, and names like those of temporaries
        build(
            {"y": "-p*y + lambda*x1", "J": "da_dJ*J - J*y", "x1": "a*J - x1"},
            parameters={"p": 0.4, "dy": 0.1, "lambda": 0.2, "out": 1.5},
            definitions={"a": "J*y*out/(dy + J*y)", "da_dJ": "a + a*a", "x2": "a*out"},
            outputs={"df": "x2 + a", "w": "x1*out + x1*out*J"},
            name="clashes",
        ),
    )
}

NAMES = [*SMALL, *library.models()]


def get(name):
    """A small model, or one of the library."""
    return SMALL[name] if name in SMALL else read_model(*library.read_model_text(name))


def generated(model, *, sensitivity=False):
    """The text of a generated module."""
    derived = derive.derive(model)
    return (
        source.generate_sensitivity(derived) if sensitivity else source.generate(derived, dose_units(model))
    )


_counter = itertools.count()


def as_python(text, folder, **functions):
    """The generated module as an ordinary Python module, with other exp, log, sqrt if wanted."""
    path = folder / f"generated_{next(_counter)}.py"
    path.write_text(text, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    vars(module).update(functions)
    return module


def as_modules(model, folder, **functions):
    """Both generated modules of a model as Python modules."""
    plain = as_python(generated(model), folder, **functions)
    more = as_python(generated(model, sensitivity=True), folder, **functions)
    more.constants, more.N_CONSTANTS, more.CONDITIONS = plain.constants, plain.N_CONSTANTS, plain.CONDITIONS
    return plain, more


EXACT = {"exp": mpmath.exp, "log": mpmath.log, "sqrt": mpmath.sqrt}
FLOATS = {"exp": np.exp, "log": np.log, "sqrt": np.sqrt}


def point(model, seed):
    """A state and parameters near the model's own: every number scaled by a random factor between 1/2 and
    2."""
    rng = np.random.default_rng(seed)
    derived = derive.derive(model)
    y = np.exp(rng.uniform(-0.7, 0.7, len(derived.states)))
    p = np.array([parameter.value for parameter in model.parameters]) * np.exp(
        rng.uniform(-0.2, 0.2, len(derived.parameters))
    )
    return y, p


SIZES = {  # function: (length of the result, arguments before it)
    "rhs": (lambda m: len(m.STATES), "yp"),
    "jacobian": (lambda m: len(m.J_ROWS), "yp"),
    "outputs": (lambda m: len(m.OUTPUTS), "yp"),
    "initial": (lambda m: len(m.STATES), "p"),
    "routes": (lambda m: 4 * len(m.ROUTES), "p"),
    "dfdp": (lambda m: len(m.P_ROWS), "yp"),
    "hessian": (lambda m: len(m.H_ENTRY), "yp"),
    "doutputs": (lambda m: len(m.G_ROWS), "yp"),
    "dinitial": (lambda m: len(m.D_ROWS), "p"),
    "droutes": (lambda m: len(m.R_ROWS), "p"),
}


def prepared(module, p):
    """Parameters and, behind them, noughts that hold no condition and the constants that a generated module
    reads."""
    p = [
        *p,
        *[0.0] * len(module.CONDITIONS),
        *[None] * (module.N_CONSTANTS + getattr(module, "N_DCONSTANTS", 0)),
    ]
    module.constants(p)
    if hasattr(module, "dconstants"):
        module.dconstants(p)
    return p


def evaluate(module, name, y, p):
    """One generated Python function's result as a list."""
    length, takes = SIZES[name]
    out = [None] * length(module)
    p = prepared(module, p)
    getattr(module, name)(*((y, p) if takes == "yp" else (p,)), out)
    return out
