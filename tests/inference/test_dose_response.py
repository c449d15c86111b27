"""A dose-response curve is fitted to the means of arms as any model is: its optimum, standard errors and
objective are those of the weighted least squares that the problem is."""

import numpy as np
import pytest
from scipy.optimize import curve_fit

from pkpd import inference

MODEL = """\
model      Emax
time       d
parameter  E0 = 4 [percent]  placebo
parameter  Emax = 20 [percent]  largest effect
parameter  ED50 = 10 [mg]  dose of half of it
covariate  D = 0 [mg]  daily dose
output     E = E0 + Emax*D/(ED50 + D) [percent]  effect
"""
FIT = """\
title = "Emax on arm means"
model = "emax.model"
[options]
starts = 2
tolerance = 1e-7
[free]
E0 = "uniform(0, 20)"
Emax = "uniform(1, 100)"
ED50 = "uniform(0.5, 200)"
"""
HEADER = (
    "row,study,arm,n,schedule,set,output,measure,reducer,time,time_unit,statistic,value,unit,spread,"
    "spread_type,source,provenance"
)
DOSE = np.array([0.0, 2.0, 5.0, 10.0, 25.0, 100.0])  # mg
EFFECT = np.array([4.2, 8.9, 11.0, 16.1, 21.0, 23.2])
ERROR = np.array([0.8, 0.9, 1.0, 0.7, 1.1, 0.9])


def emax(D, E0, Emax, ED50):
    return E0 + Emax * D / (ED50 + D)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("emax")
    rows = [
        f"d{D:g},S,{D:g} mg,,none,D = {D:g} mg,E,value,at,0,d,mean,{y},percent,{se},SE,made up,reported"
        for D, y, se in zip(DOSE, EFFECT, ERROR, strict=True)
    ]
    (folder / "emax.model").write_text(MODEL)
    (folder / "fit.toml").write_text(FIT)
    (folder / "data.csv").write_text("\n".join([HEADER, *rows]))
    return folder


def test_emax_on_arm_means_is_weighted_least_squares(folder):
    found = inference.fit(folder)
    best, covariance = curve_fit(emax, DOSE, EFFECT, [5, 20, 10], sigma=ERROR, absolute_sigma=True)
    names = ("E0", "Emax", "ED50")
    assert [found.values[name] for name in names] == pytest.approx(best, rel=1e-4)
    assert found.ofv == pytest.approx(np.sum(((EFFECT - emax(DOSE, *best)) / ERROR) ** 2), rel=1e-5)
    errors = [one.rse / 100 * one.value for one in found.estimates]
    assert [one.name for one in found.estimates] == list(names)
    assert errors == pytest.approx(np.sqrt(np.diag(covariance)), rel=1e-3)
