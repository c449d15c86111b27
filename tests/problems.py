"""Initial value problems in the model language, each with its solution from elsewhere: a formula, the
literature, or Taylor series.

What a problem says of itself, so that tests can hold a method to its promise and no more:

growth    what the problem, not a method, may make of an error: the largest ``|dy_i(t)/dy_j(s)|`` over the
          horizon, both measured in tolerances, rounded up; found by ``reference/growth.py``
rounding  relative error that rounding alone causes, where the right-hand side is a small difference of large
          terms
"""

from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np
from numpy.typing import NDArray

from benchmarks.problems import HIRES, TEST_SET
from pkpd.model.check import Model, read_model

TAYLOR = "Taylor series of order 40 in 40 digits: reference/taylor.py"


@dataclass(frozen=True)
class Problem:
    """times : (n_times,), increasing; states : (n_times, n_states), the solution there."""

    name: str
    source: str
    text: str
    times: NDArray[np.float64]
    states: NDArray[np.float64]
    growth: float = 1.0
    rounding: float = 1e-12
    explicit: bool = True  # an explicit method can do it in a fair number of steps
    stiff: bool = False  # an explicit method is held by stability, not by accuracy

    def model(self) -> Model:
        """The checked model."""
        return read_model(self.text, f"{self.name}.model")


def _table(rows: dict[float, list[float]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return np.array(list(rows)), np.array(list(rows.values()))


def _formula(
    times: NDArray[np.float64], states: Callable[[mpmath.mpf], list[mpmath.mpf]]
) -> NDArray[np.float64]:
    with mpmath.workdps(50):
        return np.array([[float(v) for v in states(mpmath.mpf(float(t)))] for t in times])


def exponential(
    matrix: list[list[float]], y0: list[float], times: NDArray[np.float64]
) -> NDArray[np.float64]:
    """exp(matrix t) y0 at each time, by mpmath in 50 digits."""
    with mpmath.workdps(50):
        a, y = mpmath.matrix(matrix), mpmath.matrix(y0)
        return np.array(
            [[float(v) for v in mpmath.expm(a * mpmath.mpf(float(t)), method="taylor") * y] for t in times]
        )


def _linear() -> Problem:
    times = np.array([0.1, 0.7, 1.5, 4.0, 9.0, 20.0, 31.0])
    return Problem(
        "linear",
        "matrix exponential",
        """
model      exchange between three compartments
time       h
parameter  a = 0.5 [1/h]
parameter  b = 0.25 [1/h]
parameter  c = 0.125 [1/h]
state      x = 8 [1]
state      y = 1 [1]
state      z [1]
d x = -a*x - b*x + c*y
d y = b*x - c*y - a*y + c*z
d z = a*y - c*z
output     x [1]
""",
        times,
        exponential([[-0.75, 0.125, 0], [0.25, -0.625, 0.125], [0, 0.5, -0.125]], [8, 1, 0], times),
    )


def _linear_stiff() -> Problem:
    times = np.array([1e-4, 1e-3, 0.05, 1.0, 7.0, 30.0])
    return Problem(
        "linear_stiff",
        "matrix exponential",
        """
model      slow loss behind a fast exchange
time       h
parameter  fast = 4096 [1/h]
parameter  slow = 0.125 [1/h]
state      x = 1 [1]
state      y [1]
d x = -fast*x + fast*y - slow*x
d y = fast*x - fast*y
output     x [1]
""",
        times,
        exponential([[-4096.125, 4096], [4096, -4096]], [1, 0], times),
        stiff=True,
    )


def _prothero_robinson() -> Problem:
    times = np.array([0.3, 1.0, 2.5, 7.0, 20.0, 40.0])
    return Problem(
        "prothero_robinson",
        "exact: y = t/(1 + t), whatever the rate (Prothero & Robinson, Math. Comp. 28 (1974) 145-162)",
        """
model      a curve that attracts fast
time       h
parameter  L = 5000 [1/h]
parameter  T = 1 [h]
state      y [1]
define     curve = t/(T + t) [1]
d y = -L*(y - curve) + T/(T + t)^2
output     y [1]
""",
        times,
        np.column_stack([times / (1 + times), times]),  # the model's time is its last state
        stiff=True,
    )


def _michaelis_menten() -> Problem:
    times = np.array([0.2, 1.0, 3.0, 4.5, 5.0, 5.5, 7.0])
    return Problem(
        "michaelis_menten",
        "exact: A = K W(A0/K exp((A0 - V t)/K)) (Beal, J. Pharmacokinet. Biopharm. 11 (1983) 623-641)",
        """
model      saturable elimination
time       h
parameter  V = 2 [1/h]
parameter  K = 0.5 [1]
state      A = 10 [1]
d A = -V*A/(K + A)
output     A [1]
""",
        times,
        _formula(times, lambda t: [mpmath.lambertw(20 * mpmath.exp((10 - 2 * t) * 2)).real / 2]),
        growth=17.0,
    )


def _lotka_volterra() -> Problem:
    times, states = _table(
        {
            1: [0.21853893223231264, 1.3765927010134618],
            2: [0.61197979360734755, 0.097251069597183931],
            3: [2.6311129129784954, 0.019190560639730541],
            4.5: [2.7385840736594859, 9.3081647768919818],
            6: [0.40899876951081578, 0.20423520373558065],
            8: [7.4076517851505919, 0.060089216314048018],
            10: [0.28721296420212371, 0.44977746350619196],
        }
    )
    return Problem(
        "lotka_volterra",
        TAYLOR,
        """
model      Lotka-Volterra
time       h
parameter  a = 1.5 [1/h]
parameter  b = 1 [1/h]
parameter  c = 3 [1/h]
state      x = 10 [1]
state      y = 5 [1]
d x = a*x - b*x*y
d y = b*x*y - c*y
output     x [1]
output     y [1]
""",
        times,
        states,
        growth=30.0,
    )


def _van_der_pol() -> Problem:
    times, states = _table(
        {
            1: [1.6980414594418743, -0.40872989368707262],
            2.5: [0.68613305180464465, -1.3174053900250487],
            4: [-1.9813149065255988, 0.25666447883089355],
            5.5: [-1.3699770919634014, 0.57214703536986771],
            7: [1.0735345722252795, 3.7778289686145825],
            10: [0.84155365219732988, -1.0890478568248497],
            15: [1.9560810526891499, 0.77963420102409194],
        }
    )
    return Problem("van_der_pol", TAYLOR, VAN_DER_POL.format(mu="2", rate="1"), times, states, growth=50.0)


VAN_DER_POL = """
model      van der Pol's oscillator
time       h
parameter  mu = {mu} [1]
parameter  r = {rate} [1/h]
state      x = 2 [1]
state      v [1]
d x = r*v
d v = mu*r*(1 - x^2)*v - r*x
output     x [1]
"""


def _van_der_pol_stiff() -> Problem:
    # y2 = dx/dt there; here v = y2/1000, with r = 1000: x' = 1000 v, v' = 1e6 (1 - x^2) v - 1000 x
    return Problem(
        "van_der_pol_stiff",
        f"{TEST_SET}, problem vdpol, eps = 1e-6",
        VAN_DER_POL.format(mu="1000", rate="1000"),
        np.array([2.0]),
        np.array([[0.1706167732170483e1, -0.8928097010247975e-3]]),
        growth=4.0,
        explicit=False,
        stiff=True,
    )


def _robertson() -> Problem:
    times, states = _table(
        {
            0.004: [0.99984008343491178, 3.648329539059705e-5, 0.00012343326969762012],
            0.04: [0.99841231796482461, 3.6231486048694568e-5, 0.0015514505491267004],
            0.4: [0.98517211386098986, 3.3863953789749041e-5, 0.014794022185220389],
            4: [0.90551867858425391, 2.2404756875602009e-5, 0.094458916658870486],
            40: [0.71582706871940509, 9.1855347645577639e-6, 0.28416374574583035],
        }
    )
    return Problem("robertson", TAYLOR, ROBERTSON, times, states, growth=2.0, stiff=True)


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
output     total = a + b + c [1]
"""


def _robertson_long() -> Problem:
    return Problem(
        "robertson_long",
        f"{TEST_SET}, problem rober",
        ROBERTSON,
        np.array([1e11]),
        np.array([[0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050]]),
        growth=2.0,  # as in robertson
        rounding=4e-7,  # at the end k1 a and k3 b c agree to 2.6e-10 of themselves
        explicit=False,
        stiff=True,
    )


def _hires() -> Problem:
    times, states = _table(
        {
            0.01: [
                0.98308764447266553,
                0.01623226261546072,
                9.6615769791867762e-7,
                0.00068453711187356026,
                1.7112511405793673e-9,
                1.5815918225218873e-6,
                6.3304476981857671e-9,
                0.0056999936695523018,
            ],
            0.1: [
                0.845505576127813,
                0.10359901166556878,
                0.00060413307168507388,
                0.049121590134991127,
                1.3462049008817379e-5,
                0.0011774044805468498,
                4.8122935060974984e-5,
                0.005651877064939025,
            ],
            1: [
                0.25549269297154406,
                0.056908789086531853,
                0.019458074977094831,
                0.45851946967112295,
                0.02014773912507038,
                0.18228795775952004,
                0.0054990812724204008,
                0.00020091872757959925,
            ],
            5: [
                0.031651675704569275,
                0.0064815495310581648,
                0.004583451064747285,
                0.089743232735180321,
                0.16245145375265563,
                0.68504389614443158,
                0.0056467003419205476,
                5.3299658079452441e-5,
            ],
            25: [
                0.00587008152694068,
                0.0011475998581931678,
                0.0010607797294633945,
                0.010174634104934001,
                0.17888335257763456,
                0.71884185935725637,
                0.0056491996600165911,
                5.0800339983408883e-5,
            ],
            100: [
                0.0045208593641245162,
                0.00088390563233747628,
                0.00079719428656859021,
                0.0078113260613707909,
                0.13238525409506346,
                0.53016769232046908,
                0.0056313397578432432,
                6.8660242156756756e-5,
            ],
            321.8122: [
                0.00073713125733256678,
                0.00014424857263161847,
                5.888729740967575e-5,
                0.0011756513432831491,
                0.0023863561988313305,
                0.0062389682527427958,
                0.0028499983951857687,
                0.0028500016048142313,
            ],
        }
    )
    return Problem(
        "hires",
        f"{TAYLOR}; the last row also in {TEST_SET}, problem hires",
        HIRES,
        times,
        states,
        growth=91.0,
        stiff=True,
    )


PROBLEMS = {
    problem.name: problem
    for problem in (
        _linear(),
        _linear_stiff(),
        _prothero_robinson(),
        _michaelis_menten(),
        _lotka_volterra(),
        _van_der_pol(),
        _van_der_pol_stiff(),
        _robertson(),
        _robertson_long(),
        _hires(),
    )
}
