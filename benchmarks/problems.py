"""Initial value problems of the comparison: models as text or by name, schedules, output times.

``known`` is the published solution at the last time; a test holds ours to it.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from pkpd.bench.problem import ModelProblem as Problem

TEST_SET = "Mazzia & Magherini, Test Set for Initial Value Problem Solvers, release 2.4 (2008)"

LOTKA_VOLTERRA = """
model      Lotka-Volterra
time       h
parameter  a = 1 [1/h]
state      x = 5 [1]
state      y = 0.8 [1]
d x = a*x - a*x*y
d y = a*x*y - a*y
output     x [1]
output     y [1]
"""

LORENZ = """
model      Lorenz
time       h
parameter  sigma = 10 [1/h]
parameter  rho = 28 [1]
parameter  beta = 2.6666666666666667 [1/h]
parameter  r = 1 [1/h]
state      x = 1 [1]
state      y [1]
state      z [1]
d x = sigma*(y - x)
d y = r*(x*(rho - z) - y)
d z = r*x*y - beta*z
output     x [1]
"""

ROBERTSON = """
model      Robertson's reactions
time       h
parameter  k1 = 0.04 [1/h]
parameter  k2 = 3e7 [1/h]
parameter  k3 = 1e4 [1/h]
state      a = 1 [1]
state      b [1]
state      c [1]
d a = -k1*a + k3*b*c
d b = k1*a - k3*b*c - k2*b^2
d c = k2*b^2
output     a [1]
output     c [1]
"""

_HIRES = """
-1.71*y1 + 0.43*y2 + 8.32*y3 + 0.0007
1.71*y1 - 8.75*y2
-10.03*y3 + 0.43*y4 + 0.035*y5
8.32*y2 + 1.71*y3 - 1.12*y4
-1.745*y5 + 0.43*y6 + 0.43*y7
-280*y6*y8 + 0.69*y4 + 1.71*y5 - 0.43*y6 + 0.69*y7
280*y6*y8 - 1.81*y7
-280*y6*y8 + 1.81*y7
"""
HIRES = "\n".join(
    [
        "model      high irradiance response: photomorphogenesis (Schaefer 1975)",
        "time       h",
        "parameter  r = 1 [1/h]",
        "state      y1 = 1 [1]",
        *(f"state      y{i} [1]" for i in range(2, 8)),
        "state      y8 = 0.0057 [1]",
        *(f"d y{i} = r*({line})" for i, line in enumerate(_HIRES.split("\n")[1:-1], start=1)),
        "output     y1 [1]",
        "",
    ]
)

# x'' = mu (1 - x^2) x' - x in time scaled by mu, and v = x'/mu of that
VAN_DER_POL = """
model      van der Pol's oscillator
time       h
parameter  mu = {mu} [1]
parameter  r = {mu} [1/h]
state      x = 2 [1]
state      v [1]
d x = r*v
d v = mu*r*(1 - x^2)*v - r*x
output     x [1]
output     v [1]
"""


def _pleiades() -> str:
    start = {
        "x": (3, 3, -1, -3, 2, -2, 2),
        "y": (3, -3, 2, 0, 0, -4, 4),
        "vx": (0, 0, 0, 0, 0, 1.75, -1.5),
        "vy": (0, 0, 0, -1.25, 1, 0, 0),
    }
    stars = range(1, 8)
    lines = ["model      Pleiades: seven stars in a plane", "time       h", "parameter  r = 1 [1/h]"]
    for name, values in start.items():
        lines += [f"state      {name}{i} = {value} [1]" for i, value in zip(stars, values, strict=True)]
    for i, j in combinations(stars, 2):
        lines += [
            f"define     s{i}{j} = (x{i} - x{j})^2 + (y{i} - y{j})^2 [1]",
            f"define     q{i}{j} = 1/(s{i}{j}*sqrt(s{i}{j})) [1]",
        ]
    for axis in "xy":
        lines += [f"d {axis}{i} = r*v{axis}{i}" for i in stars]
    for axis in "xy":
        for i in stars:
            pull = " + ".join(f"{j}*({axis}{j} - {axis}{i})*q{min(i, j)}{max(i, j)}" for j in stars if j != i)
            lines.append(f"d v{axis}{i} = r*({pull})")
    return "\n".join([*lines, "output     x1 [1]", "output     y1 [1]", ""])


FRIBERG = """
model      myelosuppression after chemotherapy
source     Friberg LE, Henningsson A, Maas H, Nguyen L, Karlsson MO. J Clin Oncol 2002;20:4713-4721
time       h
parameter  CL = 36 [L/h]
parameter  V1 = 8 [L]
parameter  Q = 8 [L/h]
parameter  V2 = 20 [L]
parameter  MTT = 88.7 [h]
parameter  circ0 = 5.05 [1]
parameter  gamma = 0.161 [1]
parameter  slope = 8 [L/mg]
define     ktr = 4/MTT [1/h]
state      central [mg]
state      peripheral [mg]
state      prol = circ0 [1]
state      transit1 = circ0 [1]
state      transit2 = circ0 [1]
state      transit3 = circ0 [1]
state      circ = circ0 [1]
route      iv -> central
define     C = central/V1 [mg/L]
d central    = -CL*C - Q*(C - peripheral/V2)
d peripheral = Q*(C - peripheral/V2)
d prol       = ktr*prol*((1 - slope*C)*(circ0/circ)^gamma - 1)
d transit1   = ktr*(prol - transit1)
d transit2   = ktr*(transit1 - transit2)
d transit3   = ktr*(transit2 - transit3)
d circ       = ktr*(transit3 - circ)
output     C [mg/L]
output     circ [1]
"""
_ALL = (
    Problem("lotka_volterra", "Lotka-Volterra, 1,000 outputs", LOTKA_VOLTERRA, np.linspace(0, 50, 1000)),
    Problem("lorenz", "Lorenz, until 10", LORENZ, np.linspace(0, 10, 101)),
    Problem(
        "robertson",
        "Robertson, to 1e11",
        ROBERTSON,
        10.0 ** np.arange(12),
        stiff=True,
        source=f"{TEST_SET}, rober",
        known=(0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050),
    ),
    Problem(
        "hires",
        "HIRES",
        HIRES,
        np.linspace(0, 321.8122, 65),
        stiff=True,
        source=f"{TEST_SET}, hires",
        known=(
            0.7371312573325668e-3,
            0.1442485726316185e-3,
            0.5888729740967575e-4,
            0.1175651343283149e-2,
            0.2386356198831331e-2,
            0.6238968252742796e-2,
            0.2849998395185769e-2,
            0.2850001604814231e-2,
        ),
    ),
    Problem(
        "van_der_pol_1e3",
        "van der Pol, mu = 1e3",
        VAN_DER_POL.format(mu="1e3"),
        np.linspace(0, 2, 21),
        stiff=True,
        source=f"{TEST_SET}, vdpol, eps = 1e-6",
        known=(0.1706167732170483e1, -0.8928097010247975e-3),
    ),
    Problem(
        "van_der_pol_1e6",
        "van der Pol, mu = 1e6",
        VAN_DER_POL.format(mu="1e6"),
        np.linspace(0, 2, 21),
        stiff=True,
        finest=1e-12,
    ),
    Problem(
        "pleiades",
        "Pleiades",
        _pleiades(),
        np.linspace(0, 3, 31),
        source=f"{TEST_SET}, pleia",
        known=(
            0.3706139143970502,
            0.3237284092057233e1,
            -0.3222559032418324e1,
            0.6597091455775310,
            0.3425581707156584,
            0.1562172101400631e1,
            -0.7003092922212495,
            -0.3943437585517392e1,
            -0.3271380973972550e1,
            0.5225081843456543e1,
            -0.2590612434977470e1,
            0.1198213693392275e1,
            -0.2429682344935824,
            0.1091449240428980e1,
        ),
    ),
    Problem(
        "oral_30",
        "two compartments, 30 oral doses",
        "two_compartment_oral",
        np.linspace(0, 360, 91),
        "100 mg oral every 12 h x30",
    ),
    Problem(
        "tmdd",
        "TMDD, full binding, 6 doses",
        "tmdd_full",
        np.linspace(0, 90, 91),
        "150 mg sc every 14 d x6",
        stiff=True,
    ),
    Problem(
        "friberg", "Friberg, 4 courses", FRIBERG, 24.0 * np.arange(91), "100 mg iv every 21 d x4", stiff=True
    ),
    Problem(
        "il2_treg",
        "il2_treg, 90 days, 15 doses",
        "il2_treg",
        24.0 * np.arange(91),
        "2 MIU sc daily x5 every 28 d x3",
        stiff=True,
    ),
)
PROBLEMS = {problem.name: problem for problem in _ALL}
QUICK = ("lotka_volterra", "robertson", "il2_treg")
