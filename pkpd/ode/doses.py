"""Doses of one subject as breakpoints in its own time: lag, bioavailability, duration and body size may
depend on parameters, which may change over time."""

from __future__ import annotations

from math import inf, isnan

from pkpd.ode.call import call2, inner, larger, shift
from pkpd.ode.control import SHORTEST, resolution
from pkpd.ode.layout import (
    BIOAVAILABILITY, BOLUS, CHANGE, DOSE, DOSE_AMOUNT, DOSE_DURATION, DOSE_FACTOR, DOSE_RATE, DOSE_ROUTE,
    DOSE_SINCE, DOSE_SIZE, DOSE_TIME, EVENT, EVENT_DOSE, EVENT_JUMP, EVENT_KIND, EVENT_RATE, EVENT_STATE,
    EVENT_TIME, INFUSION_END, INFUSION_START, LAG, OWN_DURATION, OWN_RATE, ROUTE, ROUTES,
)  # fmt: skip


@inner
def infusion(dose, route, amount):
    """How long an infusion of a bioavailable amount lasts, and the derivatives of that by the amount, by the
    route's own duration and by its own rate: as the dose says, by its duration or its rate; else as the route
    has it; nought is a bolus. route : (ROUTE,)."""
    if not isnan(dose[DOSE_DURATION]):
        return dose[DOSE_DURATION], 0.0, 0.0, 0.0
    if dose[DOSE_RATE] > 0.0:
        return amount / dose[DOSE_RATE], 1.0 / dose[DOSE_RATE], 0.0, 0.0
    if route[OWN_DURATION] == 0.0 and route[OWN_RATE] > 0.0:
        long = amount / route[OWN_RATE]
        return long, 1.0 / route[OWN_RATE], 0.0, -long / route[OWN_RATE]
    return route[OWN_DURATION], 0.0, 1.0, 0.0


@inner
def insert(events, count, time):
    """Room for one more of count breakpoints, behind all that are not later as far as the clock can tell;
    doses come nearly sorted."""
    place = count
    latest = time + resolution(time)
    while place > 0 and events[EVENT * (place - 1) + EVENT_TIME] > latest:
        for i in range(EVENT):
            events[EVENT * place + i] = events[EVENT * (place - 1) + i]
        place -= 1
    event = shift(events, EVENT * place)
    event[EVENT_TIME] = time
    return event


@inner
def breakpoints(address, n_doses, doses, targets, p, own, r, events):
    """Expand doses into breakpoints, sorted by time and, at one instant, in the order given; returns their
    number, or -1: a lag, F, duration or rate is out of its range.

    A dose has the lag, F, duration and body size of its own time: changes of parameters are made in p on the
    way, and taken back. own : what is the subject's own; r : (n_routes, ROUTE); events : (2 n_doses, EVENT).
    """
    count = 0
    for e in range(n_doses):
        dose = shift(doses, DOSE * e)
        kind = int(dose[DOSE_ROUTE])
        if kind < 0:
            event = insert(events, count, dose[DOSE_TIME])
            event[EVENT_STATE] = dose[DOSE_SIZE]
            event[EVENT_JUMP] = dose[DOSE_AMOUNT]
            event[EVENT_RATE] = 0.0
            event[EVENT_DOSE] = float(e)
            event[EVENT_KIND] = -dose[DOSE_ROUTE]
            count += 1
            if kind == -CHANGE:
                changed = int(dose[DOSE_SIZE])
                event[EVENT_RATE] = p[changed]
                p[changed] = dose[DOSE_AMOUNT]
                call2(address[ROUTES], p, r)
            continue
        route = shift(r, ROUTE * kind)
        for i in range(ROUTE):
            if not (route[i] >= 0.0 and route[i] < inf):
                return -1
        size = int(dose[DOSE_SIZE])
        factor = int(dose[DOSE_FACTOR])
        amount = dose[DOSE_AMOUNT] * route[BIOAVAILABILITY] * (p[size] if size >= 0 else 1.0)
        amount = amount * (own[factor] if factor >= 0 else 1.0)
        duration, _, _, _ = infusion(dose, route, amount)
        start = dose[DOSE_TIME] + route[LAG]
        end = start + duration
        parts = 2 if end - start > SHORTEST * resolution(end) else 1
        # the clock of a dose whose lag or duration is a multiple of the interval: near nought no sum of such
        # numbers is that exact
        if end <= dose[DOSE_SINCE] + resolution(larger(abs(dose[DOSE_TIME]), abs(end))):
            continue  # all of it is in the state that was set
        for part in range(parts):
            kind = BOLUS if parts == 1 else (INFUSION_START if part == 0 else INFUSION_END)
            time = end if kind == INFUSION_END else max(start, dose[DOSE_SINCE])
            event = insert(events, count, time)
            event[EVENT_STATE] = float(targets[int(dose[DOSE_ROUTE])])
            event[EVENT_JUMP] = amount if kind == BOLUS else 0.0
            event[EVENT_RATE] = 0.0
            if kind == INFUSION_START:
                # as long as the clock can tell: all of the dose is given
                event[EVENT_RATE] = amount / (end - start)
            elif kind == INFUSION_END:
                event[EVENT_RATE] = -amount / (end - start)
            event[EVENT_DOSE] = float(e)
            event[EVENT_KIND] = float(kind)
            count += 1
    for back in range(count):
        event = shift(events, EVENT * (count - 1 - back))
        if int(event[EVENT_KIND]) == CHANGE:
            p[int(event[EVENT_STATE])] = event[EVENT_RATE]
    return count
