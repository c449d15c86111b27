"""Subjects with events and times of their own: each is what it would be alone, bit for bit, whoever its
neighbours are and in whatever order they stand."""

import numpy as np
import pytest
from solving import events, kernel, solve_with

from pkpd.core.errors import InputError
from pkpd.dosing import EventTable
from pkpd.dosing.events import FIRST, LAST, RESET, STEADY
from pkpd.simulation.profile import population
from pkpd.solver import Options, Timeline, solve

MODEL = """\
model      absorption, a saturable elimination and an effect behind a lag
time       h
parameter  Vmax = 12 [mg/h]  a
parameter  Km = 3 [mg/L]  b
parameter  V = 10 [L]  c
parameter  ka = 1.2 [1/h]  d
parameter  lag = 0.4 [h]  e
parameter  ke0 = 0.3 [1/h]  f
state      depot [mg]
state      body [mg]
state      effect [mg/L]
route      oral -> depot
  lag = lag
route      iv -> body
define     C = body/V [mg/L]
d depot = -ka*depot
d body = ka*depot - Vmax*C/(Km + C)
d effect = ke0*(C - effect)
output     C [mg/L]
output     E = effect [mg/L]
"""


def of_kinds(k, n=19, seed=4):
    """Timelines with one to six events of all kinds, one to twelve times in no order, some shared."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        if i % 5 == 4:
            found.append(found[-1])
            continue
        count = 1 + i % 6
        time = np.sort(rng.uniform(0.0, 40.0, count))
        kind = np.zeros(count, int)
        interval = np.zeros(count)
        if i % 4 == 1:
            kind[0], interval[0] = STEADY, 12.0
        if i % 4 == 2:
            kind[-1] = RESET
        table = EventTable(
            time,
            rng.uniform(20.0, 90.0, count),
            rng.integers(0, 2, count),
            rng.choice([np.nan, 0.0, 2.5], count),
            np.full(count, -1),
            kind=kind,
            interval=interval,
        )
        times = rng.uniform(time[0], 60.0, 1 + i % 12)
        changes = [(float(time[0] + 1.0), "ka", 0.7)] if i % 3 == 0 else []
        places = np.array([FIRST, LAST])[rng.integers(0, 2, times.size)] if i % 7 == 0 else None
        found.append(Timeline(table, times, places, changes, start=float(time[0]) if i % 2 else None))
    return found


def alone(k, values, timeline, **options):
    return solve_with(
        k,
        values,
        timeline.events,
        timeline.times,
        places=timeline.places,
        changes=timeline.changes,
        knots=timeline.knots,
        start=timeline.start,
        **options,
    )


@pytest.mark.parametrize("lanes", [True, False], ids=["lanes", "singles"])
@pytest.mark.parametrize("method", ["auto", "tsit5", "rodas5p", "vern7"])
def test_each_subject_is_what_it_would_be_alone(method, lanes):
    k = kernel(MODEL)
    timelines = of_kinds(k)
    p = np.tile(k.VALUES, (len(timelines), 1)) * np.random.default_rng(1).uniform(
        0.8, 1.2, (len(timelines), 1)
    )
    kept = p.copy()
    readings = [("max", "C"), ("area", "E", 0, 30), ("last_above", "C", 0, np.inf, 1.0)]
    found = solve(
        k, p, timelines, options=Options(method=method, lanes=lanes), readings=readings, keep_states=True
    )
    assert np.array_equal(p, kept)
    assert not found.status.any()
    for i, timeline in enumerate(timelines):
        # two of the same side by side: the arithmetic of lanes is that of lanes
        one = alone(k, p[[i, i]], timeline, method=method, lanes=lanes, readings=readings, keep_states=True)
        n = np.size(timeline.times)
        np.testing.assert_array_equal(found.outputs[i, :n], one.outputs[0])
        np.testing.assert_array_equal(found.states[i, :n], one.states[0])
        assert np.isnan(found.outputs[i, n:]).all()
        np.testing.assert_array_equal(found.readings.values[i], one.readings.values[0])


def test_sensitivities_and_crossings_are_those_of_each_alone():
    k = kernel(MODEL)
    timelines = [timeline for timeline in of_kinds(k) if not timeline.changes]
    p = np.tile(k.VALUES, (len(timelines), 1))
    asked = {"directions": ["Vmax", "lag", "depot(0)"], "roots": [("C", 2.0)], "readings": [("max", "C")]}
    found = solve_with(k, p, timelines, **asked)
    for i, timeline in enumerate(timelines):
        one = alone(k, p[i], timeline, **asked)
        n = np.size(timeline.times)
        np.testing.assert_array_equal(found.sensitivities[i, :n], one.sensitivities[0])
        np.testing.assert_array_equal(found.crossings.times[i], one.crossings.times[0])
        np.testing.assert_array_equal(found.readings.sensitivities[i], one.readings.sensitivities[0])


def test_neither_order_nor_neighbours_nor_threads_matter():
    k = kernel(MODEL)
    timelines = of_kinds(k, 64)
    p = population(k, 64, 3)
    found = solve(k, p, timelines, options=Options(threads=1)).outputs
    order = np.random.default_rng(2).permutation(64)
    other = solve(k, p[order], [timelines[i] for i in order], options=Options(threads=2)).outputs
    np.testing.assert_array_equal(found[order], other)


def test_a_failure_is_that_of_its_subject():
    k = kernel(MODEL)
    timelines = of_kinds(k, 6)
    p = np.tile(k.VALUES, (6, 1))
    p[2, k.PARAMETERS.index("lag")] = -1.0
    found = solve(k, p, timelines)
    assert found.status.nonzero()[0].tolist() == [2]
    assert np.isnan(found.outputs[2]).all() and np.isfinite(found.outputs[[0, 1, 3]][:, 0]).all()


def test_covariates_that_run_linearly_are_each_subjects_own():
    """d A = -CL(t)/V A: what is left is exp of the area under CL."""
    from pkpd.model.check import read_model
    from pkpd.solver.kernel import load

    text = """\
model a
time h
covariate CL = 2 [L/h] a
parameter V = 10 [L] b
state A [mg]
route iv -> A
d A = -CL/V*A
output A [mg]
"""
    k = load(read_model(text, "a.model"), linear=["CL"])
    dose = events(k, "100 mg iv once")
    timelines = [Timeline(dose, [4.0 + i], knots={"CL": ([0.0, 4.0], [2.0, 2.0 + i])}) for i in range(9)]
    found = solve(k, np.tile(k.VALUES, (9, 1)), timelines, options=Options(rtol=1e-9)).outputs[:, 0, 0]
    area = np.array([4.0 * (2.0 + 0.5 * i) + i * (2.0 + i) for i in range(9)])
    np.testing.assert_allclose(found, 100.0 * np.exp(-area / 10.0), rtol=1e-7)


REFUSED = {
    "there are 1 timelines for 2 subjects": lambda k, t, p: solve(k, p, [t]),
    "each timeline has its own times": lambda k, t, p: solve(k, p, [t, t], [1.0]),
    "each timeline has its own changes": lambda k, t, p: solve(k, p, [t, t], changes=[(1.0, "ka", 2.0)]),
    "initial states and factors": lambda k, t, p: solve(k, p, [t, t], initial=np.zeros((2, 3))),
    r"dose\[0\]: amounts are directions where": lambda k, t, p: solve(k, p, [t, t], directions=["dose[0]"]),
    "goes with output times": lambda k, t, p: solve(k, p, t.events),
    "output times must be": lambda k, t, p: solve(k, p, [t, Timeline()]),
    "solve: events must be an event table": lambda k, t, p: solve(k, p, [t, "none"]),
    "an output time, 1, before the start, 2": lambda k, t, p: solve(
        k, p, [t, Timeline(times=[1.0], start=2.0)]
    ),
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_what_does_not_fit_is_refused(sentence):
    k = kernel(MODEL)
    timeline = Timeline(events(k, "10 mg iv once"), [1.0, 2.0])
    with pytest.raises(InputError, match=sentence):
        REFUSED[sentence](k, timeline, np.tile(k.VALUES, (2, 1)))
