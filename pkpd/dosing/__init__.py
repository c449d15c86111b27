"""Doses: what is given, when, and how it reaches a solve.

    quantities   exact amounts and times, their units, limits and spelling
    words        the vocabulary of the schedule language
    events       a table of numbers in a model's units
    schedule     doses, courses and schedules as values, in days
    language     text to schedule and back; the language is described at its top
    rules        a schedule with rules that change doses by the response; described at its top
    csvfile      lines of fields that know their place in a file
    records      data files of doses and observations, as NONMEM and Monolix have them; the format is described at its top
    covariates   how they run between the lines of a file, and the order of what shares an instant
    intake       records in a model's units: an event table, output times and covariates for each subject

Each file knows those above it; only `Schedule.parse` and ``str`` call the language, when they are used.
"""

from pkpd.dosing.events import EventTable
from pkpd.dosing.quantities import time_units_per_day
from pkpd.dosing.schedule import Dose, Part, Schedule

__all__ = ["Dose", "EventTable", "Part", "Schedule", "time_units_per_day"]
