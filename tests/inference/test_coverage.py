"""An interval that says 95 % holds 95 % of simulated truths (or 90 %, where it says so): those of parameters,
of predicted rows with and without the error of the reported number, of doses for an effect, of reported
numbers, of drawn bands, of adverse events and of the population's median.

Truths are drawn from the priors, numbers from the truths with their stated errors, so that the posterior is
right in frequency whatever the prior. Where 600 are counted, 95 % is told from 90 % and from 99 %: three
binomial standard errors are 2.7 %; of all parameters, or all rows, of 250 fits 95 % is told from 93.
"""

import importlib
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import toy

from pkpd.decision.comparison.result import uncertainty
from pkpd.inference import Check, FitOptions, FitSpec, ModelSpec, Prior, StudyEffect, System
from pkpd.inference import prediction as predict
from pkpd.inference.one_hit import OneHitPosterior
from pkpd.inference.summary import likelihood
from pkpd.inference.summary.reading import parse_data
from pkpd.model.check import Parameter
from pkpd.treg import tolerability

fitting = importlib.import_module("pkpd.inference")  # pkpd.fit itself is the function

NAMES = ("V", "k", "F", "base")
PRIORS = {
    "V": Prior("lognormal", 10, 0.4),
    "k": Prior("lognormal", 0.2, 0.4),
    "F": Prior("logitnormal", 0.6, 0.5),
    "base": Prior("normal", 2, 0.5),
}
EFFECT_SD = 0.25
TIMES = (0.5, 4.0, 12.0)


def outputs(p, events, times):
    """(..., n_times, 2) of p (..., 4): concentration after boluses into a vein (all of it) or a muscle (the
    share F), and base minus concentration."""
    V, k, F, base = np.moveaxis(np.asarray(p)[..., None], -2, 0)
    c = np.zeros((*np.shape(p)[:-1], len(times)), dtype=np.result_type(p))
    for start, amount, route in zip(events.time, events.amount, events.route, strict=True):
        past = np.asarray(times) - start
        c = c + (past >= 0) * amount * (F if route else 1.0) / V * np.exp(-k * np.where(past > 0, past, 0.0))
    return np.stack([c, base - c], axis=-1)


def solve(kernel, parameters, events, times, *, options=None, directions=()):
    out = outputs(parameters, events, times)
    s = np.empty((*out.shape, len(directions)))
    for d, index in enumerate(directions):
        moved = parameters.astype(complex)
        moved[:, index] += 1e-30j
        s[..., d] = outputs(moved, events, times).imag / 1e-30
    return SimpleNamespace(
        outputs=out,
        sensitivities=s,
        status=np.zeros(len(parameters), dtype=int),
        method_used=np.zeros(len(parameters), dtype=int),
        failure=str,
    )


def parameter(name, value, unit, lower=0.0, upper=math.inf):
    return Parameter(name, value, unit, "", "parameter", lower, upper, None, None, "made up", "assumed")


SYSTEM = System(
    "bolus",
    "boluses",
    (
        parameter("V", 10.0, "L"),
        parameter("k", 0.2, "1/h"),
        parameter("F", 0.6, "1", 0.0, 1.0),
        parameter("base", 2.0, "mg/L", -math.inf),
    ),
    {"C": "mg/L", "D": "mg/L"},
    "h",
    (),
    ("iv", "im"),
    {"iv": {"mg": 1.0}, "im": {"mg": 1.0}},
    {"m2": -1, "kg": -1},
    None,
)
SPEC = FitSpec(
    name="made_up",
    title="made up",
    folder=Path("."),
    data=Path("data.csv"),
    main=ModelSpec("bolus", free=PRIORS, study_effects=(StudyEffect("V", EFFECT_SD),)),
    options=FitOptions(subjects=1, starts=1),
)
HEADER = (
    "row,study,arm,n,schedule,output,measure,reducer,time,time_unit,"
    "statistic,value,unit,spread,spread_type,effect,use,source,provenance"
)


def row(name, study, schedule, output, time, statistic, value, unit, spread, effect="", use="fit"):
    return (
        f"{name},{study},a,,{schedule},{output},value,at,{time},h,{statistic},{float(value)!r},{unit},"
        f"{float(spread)!r},SE,{effect},{use},made up,reported"
    )


def drawn(generator):
    """A truth from the priors: (4,) parameters and the effects of the studies A and B on V."""
    z = generator.standard_normal(6)
    x = [
        math.log(10) + 0.4 * z[0],
        math.log(0.2) + 0.4 * z[1],
        math.log(0.6 / 0.4) + 0.5 * z[2],
        2 + 0.5 * z[3],
    ]
    return np.array([math.exp(x[0]), math.exp(x[1]), 1 / (1 + math.exp(-x[2])), x[3]]), dict(
        zip("AB", EFFECT_SD * z[4:], strict=True)
    )


def truths(p, effects):
    """Row name -> (row without value and spread, true value, SE of its report): means, a geometric mean and a
    dose for an effect."""
    found = {}

    def at(study, schedule, dose, route, time):
        own = p * np.array([math.exp(effects[study]), 1, 1, 1])
        events = SimpleNamespace(time=[0.0], amount=[dose], route=[route])
        return outputs(own, events, [time])[0]

    for study in "AB":
        for route, name in enumerate(("iv", "im")):
            for time in TIMES:
                schedule = f"100 mg {name} once"
                c, d = at(study, schedule, 100.0, route, time)
                found[f"{study}{name}{time:g}"] = (study, schedule, "C", time, "mean", "", c, 0.15 * c)
                if name == "iv":
                    found[f"{study}d{time:g}"] = (study, schedule, "D", time, "mean", "", d, 0.5)
    c, _ = at("B", "", 50.0, 1, 2.0)
    found["geometric"] = ("B", "50 mg im once", "C", 2.0, "geometric_mean", "", c, 0.2)
    # the dose at which the concentration reaches 3 mg/L in study B, told beside a dose of 40 mg
    slope, _ = at("B", "", 1.0, 0, 1.0)
    found["dose"] = ("B", None, "C", 1.0, "dose_for_effect", 3.0, 3.0 / slope, 0.12 * 3.0 / slope)
    return found


CHECKED = ("Bim4", "Ad12", "geometric", "dose")
"""Rows that are predicted without being fitted: the inner check."""


def fits():
    """250 truths, what was reported of them, and the fits to it."""
    generator = np.random.default_rng(20)
    found = []
    while len(found) < 250:
        p, effects = drawn(generator)
        wanted = truths(p, effects)
        lines, reported = [HEADER], {}
        for name, (study, schedule, output, time, statistic, effect, value, se) in wanted.items():
            z = generator.standard_normal()
            number = value * math.exp(se * z) if statistic == "geometric_mean" else value + se * z
            reported[name] = number
            if statistic == "dose_for_effect":
                schedule = f"{max(number, 1.0):.6g} mg iv once"
            spread = se * number if statistic == "geometric_mean" else se
            lines.append(
                row(
                    name,
                    study,
                    schedule,
                    output,
                    time,
                    statistic,
                    number,
                    "mg" if schedule and statistic == "dose_for_effect" else "mg/L",
                    spread,
                    effect,
                )
            )
        if min(value for name, value in reported.items() if "d" not in name[1:2]) <= 0:
            continue  # a concentration that nobody would report
        spec = replace(SPEC, check=Check(CHECKED))
        result = fitting.run(
            spec,
            SYSTEM,
            parse_data("\n".join(lines)),
            solve=solve,
            threads=1,
            unverified=False,
            leave_one_out=False,
        )
        assert result.converged, result.message
        found.append((p, effects, wanted, reported, result))
    return found


def covers(name, inside, level=0.95, sds=3.0):
    """The share of trues is the level, within so many binomial standard errors."""
    share, error = float(np.mean(inside)), math.sqrt(level * (1 - level) / len(inside))
    assert abs(share - level) < sds * error, f"{name}: {share:.3f} of {len(inside)}, stated {level}"


@pytest.mark.long
def test_intervals_of_a_fit_hold_the_truth_as_often_as_they_say():
    """Of parameters and study effects; of the true mean of fitted rows; of the inner check, by the parameters
    and with the error of the report."""
    inside, below, above = {}, {}, {}

    def count(name, low, truth, high):
        for found, meets in ((inside, low <= truth <= high), (below, truth < low), (above, truth > high)):
            found.setdefault(name, []).append(meets)

    for p, effects, wanted, numbers, result in fits():
        for e in result.estimates:
            truth = math.exp(effects[e.name[-1]]) if " in " in e.name else p[NAMES.index(e.name)]
            count(e.name, e.lower, truth, e.upper)
        for r in result.rows:
            count(f"row {r.id}", r.predicted_lower, wanted[r.id][6], r.predicted_upper)
        for r in result.check.predicted:
            count(f"check {r.id}", r.predicted_lower, wanted[r.id][6], r.predicted_upper)
            low, high = r.expected()
            count(f"report of {r.id}", low, numbers[r.id], high)
            said = next(text for text in result.check.words().split(". ") if text.startswith(r.id + ":"))
            assert ("lies within" in said) == (low <= numbers[r.id] <= high)
    assert {
        "V",
        "k",
        "F",
        "base",
        "V in A",
        "V in B",
        "row dose",
        "check dose",
        "report of geometric",
    } <= set(inside)
    for name, found in inside.items():
        covers(name, found, sds=4.0)  # one of 34
    for kind in ("row ", "check ", "report of ", ""):
        names = [name for name in inside if (name.startswith(kind) if kind else name.split(" ")[0] in NAMES)]
        side = 0.015 if kind in ("row ", "") else 0.022  # the rows of a check go up and down together
        for found, level, error in ((inside, 0.95, 0.02), (below, 0.025, side), (above, 0.025, side)):
            assert abs(np.mean([found[name] for name in names]) - level) < error, (kind, level)


def test_intervals_of_reported_numbers_hold_the_truth_as_often_as_they_say():
    """Those printed in tables and drawn in figures, made of a reported spread: normal, log-normal and
    binomial numbers, and a range."""
    generator = np.random.default_rng(3)
    inside = {name: [] for name in ("SD", "geometric", "median", "range", "log range", "count")}
    base = {"n": 60, "study": "S", "arm": "a"}

    def interval(**given):
        text = (
            {"spread": "", "spread_type": "none", "lower": "", "upper": "", "unit": "1", "effect": ""}
            | base
            | given
        )
        header = (
            "row,study,arm,n,schedule,output,measure,reducer,time,time_unit,"
            "statistic,value,unit,spread,spread_type,lower,upper,effect,source,provenance"
        )
        values = {
            "row": "r",
            "schedule": "none",
            "output": "C",
            "measure": "value",
            "reducer": "at",
            "time": "0",
            "time_unit": "h",
            "source": "made up",
            "provenance": "reported",
        } | text
        (only,) = parse_data(f"{header}\n{','.join(str(values[key]) for key in header.split(','))}\n").rows
        return likelihood.interval(likelihood.measured(only))

    for _ in range(600):
        x = 20 + 3 * generator.standard_normal(60)
        y = np.exp(1 + 0.5 * generator.standard_normal(60))
        k = int(generator.binomial(60, 0.3))
        for name, truth, ends in (
            ("SD", 20, interval(statistic="mean", value=x.mean(), spread=x.std(ddof=1), spread_type="SD")),
            (
                "geometric",
                math.exp(1),
                interval(
                    statistic="geometric_mean",
                    value=math.exp(np.log(y).mean()),
                    lower=np.quantile(y, 0.25),
                    upper=np.quantile(y, 0.75),
                    spread_type="IQR",
                ),
            ),
            (
                "median",
                20,
                interval(statistic="median", value=np.median(x), spread=x.std(ddof=1), spread_type="SD"),
            ),
            ("range", 0, interval(statistic="range", value="", lower=x.min() - 20, upper=x.max() - 20)),
            ("log range", math.exp(1), interval(statistic="range", value="", lower=y.min(), upper=y.max())),
            ("count", 18, interval(statistic="count", value=k)),
        ):
            inside[name].append(ends[0] <= truth <= ends[1])
    for name, found in inside.items():
        # an SE estimated from 60 patients, and steps of a count, cost at most one percent; a midrange is not
        # quite normal
        assert abs(np.mean(found) - 0.95) < 3 * math.sqrt(0.05 * 0.95 / 600) + 0.01, (name, np.mean(found))


@pytest.mark.parametrize("estimates", [3, 12, 24])
@pytest.mark.parametrize("positive", [False, True])
def test_the_band_of_a_dose_response_holds_the_true_curve_as_often_as_it_says(estimates, positive):
    """Curves that are linear, or log-linear, in the parameters: the interval is known, and one of the
    outermost of twenty draws would hold 90 %."""
    generator = np.random.default_rng(estimates)
    doses = np.array(predict.DOSES)
    inside = []
    for seed in range(600):
        root_of = generator.standard_normal((estimates, estimates)) / math.sqrt(estimates)
        covariance = root_of @ root_of.T
        result = SimpleNamespace(estimates=[SimpleNamespace(x=0.0)] * estimates, covariance=covariance)
        arms = SimpleNamespace(
            posterior=None, result=result, spec=SimpleNamespace(options=FitOptions(seed=seed)), _drawn={}
        )
        arms.draws = lambda count, arms=arms: predict._Arms.draws(arms, count)
        slope = generator.standard_normal(estimates)

        def curve(amounts, points, count, slope=slope):
            shifts = np.array([0.0 if x is None else 0.1 * float(slope @ x) for x in points])
            return np.outer(np.exp(shifts) if positive else shifts, amounts)

        band = predict._with_band(arms, curve, doses, predict.DRAWN)
        (truth,) = curve(doses, [root_of @ generator.standard_normal(estimates)], 0)
        assert band["low"][0] == band["high"][0] == 0.0
        inside.append(band["low"][8] <= truth[8] <= band["high"][8])
    covers("band", inside)


def test_the_band_of_a_course_holds_ninety_percent_of_people(tmp_path):
    spec = fitting.read_fit(toy.write(tmp_path / "toy"))
    result = fitting.fit(spec, rival=False, unverified=False, check=False)
    arm = next(c for c in predict.predict(result, spec)["courses"] if c["study"] == "Beta")["arms"][
        "100 mg iv"
    ]
    times, low, high = np.array(arm["times"]), np.array(arm["low"])[:, 0], np.array(arm["high"])[:, 0]
    arms = predict._Arms(result, spec, System.load(spec.main.model), None)
    z = np.random.default_rng(1).standard_normal((4000, len(result.between)))
    kernel, typical = arms.system.kernel, result.study_values["Beta"]
    people = {name: np.full(4000, value) for name, value in typical.items()}
    for column, (name, sd) in zip(z.T, result.between.items(), strict=True):
        people[name] = people[name] * np.exp(sd * column)
    from pkpd.dosing import Schedule

    assert result.between  # people differ
    everybody = arms.run(
        np.stack([people[name] for name in kernel.PARAMETERS], axis=1),
        Schedule.parse("100 mg iv once"),
        times,
    )[:, :, 0]
    share = ((everybody >= low) & (everybody <= high)).mean(axis=0)[times > 0]
    # the 5 % and 95 % quantiles of 128 people, quasi-random: a percent or two
    assert share.mean() == pytest.approx(0.9, abs=0.025)


def test_the_interval_of_adverse_events_holds_the_truth_as_often_as_it_says():
    generator = np.random.default_rng(5)
    inside = {dose: [] for dose in (0.0, 1.0, 5.0)}
    for _ in range(600):
        p0, k = (
            generator.random(),
            math.exp(tolerability.PRIOR.log_sd * generator.standard_normal()) * tolerability.PRIOR.median,
        )
        counts = tuple(
            replace(count, events=int(generator.binomial(count.n, 1 - (1 - p0) * math.exp(-k * count.dose))))
            for count in tolerability.counts()
        )
        posterior = OneHitPosterior.of(counts, tolerability.PRIOR, cells=100)  # a hundredth
        for dose, found in inside.items():
            _, low, high = posterior.probability(dose)
            found.append(low <= 1 - (1 - p0) * math.exp(-k * dose) <= high)
    for dose, found in inside.items():
        covers(dose, found, 0.9)


@pytest.mark.parametrize("sizes", [[20] * 300, [5] * 200 + [60] * 100])
def test_the_interval_of_the_populations_median_holds_the_truth_as_often_as_it_says(sizes):
    """Draws of unequal size too: their sampling variance is that of each draw, by their number."""
    generator = np.random.default_rng(9)
    draw = np.repeat(np.arange(len(sizes)), sizes)
    inside, widths = [], []
    for _ in range(600):
        medians = 3 + 0.5 * generator.standard_normal(len(sizes))
        low, high = uncertainty(medians[draw] + generator.standard_normal(draw.size), draw)
        widths.append(high - low)
        inside.append(low <= 3 + 0.5 * generator.standard_normal() <= high)
    covers("median", inside, 0.9)
    assert np.mean(widths) == pytest.approx(2 * 1.645 * 0.5, rel=0.06)
