"""The kinds of rows: one file, one formula, one entry of ``KINDS`` to each."""

from __future__ import annotations

from pkpd.inference.summary.kinds.adjusted_hazard_ratio import AdjustedHazardRatio, InteractionRatio
from pkpd.inference.summary.kinds.binomial import Count, Fraction
from pkpd.inference.summary.kinds.bound import LowerBound, UpperBound
from pkpd.inference.summary.kinds.correlation import PearsonCorrelation
from pkpd.inference.summary.kinds.difference_of_arms import DifferenceOfArms
from pkpd.inference.summary.kinds.dose_for_effect import DoseForEffect
from pkpd.inference.summary.kinds.events import Events, Survival
from pkpd.inference.summary.kinds.geometric_mean import GeometricMean
from pkpd.inference.summary.kinds.hazard_ratio import HazardRatio
from pkpd.inference.summary.kinds.interval import Interval, ReportedFloor
from pkpd.inference.summary.kinds.kind import Kind
from pkpd.inference.summary.kinds.logrank_p import LogrankP
from pkpd.inference.summary.kinds.mean import Mean, Median
from pkpd.inference.summary.kinds.quantile import Quantile
from pkpd.inference.summary.kinds.range import Range
from pkpd.inference.summary.kinds.rate import Rate
from pkpd.inference.summary.kinds.ratio import Ratio
from pkpd.inference.summary.kinds.ratio_of_arms import GeometricRatioOfArms, RatioOfArms
from pkpd.inference.summary.kinds.responders import MeanOfNonresponders, MeanOfResponders
from pkpd.inference.summary.kinds.significance import NotSignificant, PValue

_ALL: tuple[Kind, ...] = (
    Mean(),
    Median(),
    GeometricMean(),
    Quantile(),
    LowerBound(),
    UpperBound(),
    Interval(),
    ReportedFloor(),
    DoseForEffect(),
    Count(),
    Fraction(),
    Events(),
    Survival(),
    Rate(),
    Range(),
    Ratio(),
    HazardRatio(),
    AdjustedHazardRatio(),
    InteractionRatio(),
    LogrankP(),
    DifferenceOfArms(),
    RatioOfArms(),
    GeometricRatioOfArms(),
    NotSignificant(),
    PValue(),
    PearsonCorrelation(),
    MeanOfResponders(),
    MeanOfNonresponders(),
)
KINDS = {kind.name: kind for kind in _ALL}
"""By the word of the column ``statistic``."""
