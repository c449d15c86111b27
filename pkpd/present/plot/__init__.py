"""Figures of profiles and fits, from plain arrays and dicts. matplotlib lives here, loaded when one is drawn.

Every function returns a `matplotlib.figure.Figure` that belongs to nobody else: no pyplot, no global state,
no display. `save` writes it. Numbers marked unverified are hollow in every figure.

Shapes that the functions share:

course
    A simulated profile: an object or a dict with ``times`` (n_times,), ``outputs`` (n_subjects, n_times,
    n_outputs), ``names`` and ``units`` (n_outputs,), ``time_unit``; optional ``descriptions`` (n_outputs,),
    ``cautions`` (what a reader must know, which becomes a footnote), and for the doses ``schedule`` (with
    ``doses()``) or ``dose_times`` (n_doses,) in ``time_unit``. Where the paths were not kept, ``median``,
    ``low``, ``high``, each (n_times, n_outputs), stand for ``outputs``. The table of ``Profile.to_frame()``
    serves too.
row
    A published number: a dict with ``study``, ``arm``, ``what``, ``unit``, ``observed``, ``predicted``,
    ``deviation`` ((predicted - observed) in standard errors of the observed), ``provenance``; optional ``n``,
    ``use`` (fit or check), ``observed_interval`` and ``predicted_interval`` ((low, high); an open end is
    None, as for "more than").
"""

from pkpd.present.plot.attainment import attainment_figure, boundary_figure
from pkpd.present.plot.canvas import COLOURS, pdf_pages, rendered, save, shown_unit, svg
from pkpd.present.plot.checks import residual_checks_figure, visits_figure
from pkpd.present.plot.comparison import courses_figure, differences_figure, trade_off_figure
from pkpd.present.plot.draws import going_together, pairs_figure, posterior_figure, rank_figure
from pkpd.present.plot.drivers import drivers_figure
from pkpd.present.plot.fit_comparison import fit_comparison_figure
from pkpd.present.plot.fits import (
    dose_response_figure,
    observed_predicted_figure,
    parameter_figure,
    residual_figure,
)
from pkpd.present.plot.front import front_figure
from pkpd.present.plot.individual import individual_figure
from pkpd.present.plot.likelihood import interval_figure, likelihood_figure
from pkpd.present.plot.precision import work_precision_figure
from pkpd.present.plot.profiles import profile_figure, time_course_figure
from pkpd.present.plot.repeats import bootstrap_figure, left_out_figure
from pkpd.present.plot.response import response_figure
from pkpd.present.plot.trials import (
    adverse_figure,
    forest_figure,
    looks_figure,
    power_figure,
    survival_figure,
    trial_visits_figure,
)
from pkpd.present.plot.validation import calibration_figure, validation_figure
from pkpd.present.plot.why import why_figure

__all__ = [
    "COLOURS",
    "adverse_figure",
    "attainment_figure",
    "bootstrap_figure",
    "boundary_figure",
    "calibration_figure",
    "courses_figure",
    "differences_figure",
    "dose_response_figure",
    "drivers_figure",
    "fit_comparison_figure",
    "forest_figure",
    "front_figure",
    "going_together",
    "individual_figure",
    "interval_figure",
    "left_out_figure",
    "likelihood_figure",
    "looks_figure",
    "observed_predicted_figure",
    "pairs_figure",
    "parameter_figure",
    "pdf_pages",
    "posterior_figure",
    "power_figure",
    "profile_figure",
    "rank_figure",
    "rendered",
    "residual_checks_figure",
    "residual_figure",
    "response_figure",
    "save",
    "shown_unit",
    "survival_figure",
    "svg",
    "time_course_figure",
    "trade_off_figure",
    "trial_visits_figure",
    "validation_figure",
    "visits_figure",
    "why_figure",
    "work_precision_figure",
]
