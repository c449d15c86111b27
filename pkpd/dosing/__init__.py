"""Doses: what is given, when, and how it reaches a solve.

    quantities   exact amounts and times, their units, limits and spelling
    words        the vocabulary of the schedule language
    parts        a dose, a course of doses, and the text they were read from
    events       a table of numbers in a model's units
    language     text to courses and back; the language is described at its top
    schedule     courses together: a value that can be written down, compared and expanded
    taking       a schedule as it is taken: doses missed, late or doubled; described at its top
    rules        a schedule with rules that change doses by the response; described at its top
    records      data files of doses and observations, as NONMEM and Monolix have them; the format is
                 described at its top
    covariates   how they run between the lines of a file, and the order of what shares an instant
    intake       records in a model's units: an event table, output times and covariates for each subject

Each file knows those above it.
"""

from pkpd.dosing.events import EventTable
from pkpd.dosing.parts import Dose, Part
from pkpd.dosing.quantities import time_units_per_day
from pkpd.dosing.schedule import Schedule

__all__ = ["Dose", "EventTable", "Part", "Schedule", "time_units_per_day"]
