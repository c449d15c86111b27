"""Where the digits of tests/problems.py come from that name this file: run it to see them again (half a
minute).

Taylor series of order 40 in arithmetic of 40 digits, for systems whose right-hand sides are quadratic: the
coefficients follow from Cauchy products (Hairer, Norsett & Wanner, Solving ODEs I, section I.8). Each step
takes the length at which the last coefficients are below 1e-28 of the state. Nothing of the package is used.
"""

import sys

from mpmath import mp, mpf

mp.dps = 40
ORDER = 40
SMALL = mpf(10) ** -28


def solve(equations, y, times):
    """States at increasing times; equations: for each state a list of (coefficient, *indices of at most two
    factors)."""
    y, t, rows = [mpf(v) for v in y], mpf(0), []
    pairs = sorted({term[1:] for terms in equations for term in terms if len(term) == 3})
    for target in map(mpf, times):
        while t < target:
            series = [[v] for v in y]
            for k in range(ORDER):
                products = {(i, j): mp.fdot(series[i], reversed(series[j])) for i, j in pairs}
                for i, terms in enumerate(equations):
                    total = mpf(0)
                    for coefficient, *factors in terms:
                        if len(factors) == 2:
                            total += coefficient * products[tuple(factors)]
                        elif factors:
                            total += coefficient * series[factors[0]][k]
                        elif k == 0:
                            total += coefficient
                    series[i].append(total / (k + 1))
            size = max(map(abs, y))
            h = min(
                (SMALL * size / max(abs(s[k]) for s in series)) ** (mpf(1) / k) for k in (ORDER - 1, ORDER)
            )
            h = min(h, target - t)
            y = [mp.polyval(s[::-1], h) for s in series]
            t += h
        rows.append([mp.nstr(v, 17) for v in y])
    return rows


d = mpf  # decimal numbers are written as text, so that they are exact
LOTKA_VOLTERRA = [[(d("1.5"), 0), (d(-1), 0, 1)], [(d(1), 0, 1), (d(-3), 1)]]
VAN_DER_POL = [[(d(1), 1)], [(d(2), 1), (d(-2), 1, 2), (d(-1), 0)], [(d(2), 0, 1)]]  # x, v, x^2; mu = 2
ROBERTSON = [
    [(d("-0.04"), 0), (d(10**4), 1, 2)],
    [(d("0.04"), 0), (d(-(10**4)), 1, 2), (d(-3 * 10**7), 1, 1)],
    [(d(3 * 10**7), 1, 1)],
]
HIRES = [
    [(d("-1.71"), 0), (d("0.43"), 1), (d("8.32"), 2), (d("0.0007"),)],
    [(d("1.71"), 0), (d("-8.75"), 1)],
    [(d("-10.03"), 2), (d("0.43"), 3), (d("0.035"), 4)],
    [(d("8.32"), 1), (d("1.71"), 2), (d("-1.12"), 3)],
    [(d("-1.745"), 4), (d("0.43"), 5), (d("0.43"), 6)],
    [(d(-280), 5, 7), (d("0.69"), 3), (d("1.71"), 4), (d("-0.43"), 5), (d("0.69"), 6)],
    [(d(280), 5, 7), (d("-1.81"), 6)],
    [(d(-280), 5, 7), (d("1.81"), 6)],
]

if __name__ == "__main__":
    for name, equations, y, times in (
        ("Lotka-Volterra", LOTKA_VOLTERRA, ["10", "5"], [1, 2, 3, "4.5", 6, 8, 10]),
        ("van der Pol", VAN_DER_POL, ["2", "0", "4"], [1, "2.5", 4, "5.5", 7, 10, 15]),
        ("Robertson", ROBERTSON, ["1", "0", "0"], ["0.004", "0.04", "0.4", 4, 40]),
        (
            "HIRES",
            HIRES,
            ["1", "0", "0", "0", "0", "0", "0", "0.0057"],
            ["0.01", "0.1", 1, 5, 25, 100, "321.8122"],
        ),
    ):
        sys.stdout.write(f"{name}\n")
        for time, row in zip(times, solve(equations, y, times), strict=True):
            sys.stdout.write(f"    {time}: [{', '.join(row)}],\n")
