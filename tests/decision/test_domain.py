"""A schedule is compared with what the fitted rows really saw, up to the day they report, and the sentences
name the study that comes nearest."""

import numpy as np
import pytest

from pkpd.core import library
from pkpd.core.errors import InputError
from pkpd.decision.criteria import fields
from pkpd.decision.domain import Domain
from pkpd.dosing import Schedule
from pkpd.inference.summary.reading import parse_data, read_data

DATA = read_data(library.root() / "fits" / "low_dose_il2" / "data.csv")
SHOWN = fields()[0].criteria.outputs
TOLD = [shown.name for shown in SHOWN if shown.told]
DOMAIN = Domain.of(DATA.rows, "MIU", SHOWN)


def said(text, **options):
    return tuple(map(str, DOMAIN.beyond(Schedule.parse(text), **({"outputs": TOLD} | options))))


def about(sentences, word):
    return [sentence for sentence in sentences if word in sentence]


def test_ranges_are_those_of_the_rows_that_are_fitted():
    np.testing.assert_allclose(
        DOMAIN.range("Tregs", "doses"), (0.15 * 1.1, 3.0)
    )  # Kennedy-Nasser's children; Hartemann
    np.testing.assert_allclose(DOMAIN.range("NK cells", "doses"), (0.33, 1.75 * 1.79))  # Hartemann; Meropol
    np.testing.assert_allclose(DOMAIN.range("IL-2 in plasma", "doses"), (0.164 * 1.79, 20 * 1.79))
    np.testing.assert_allclose(DOMAIN.range("Tregs", "interval"), (1.0, 3.0))  # DILfrequency
    np.testing.assert_allclose(
        DOMAIN.range("Tregs", "length"), (0.0625, 84.0)
    )  # DILT1D at 90 minutes; Koreth 2016
    assert DOMAIN.range("Tregs", "cycles") == (1, 1)  # IMODALS reports day 8
    assert not any("dac" in seen.schedule for seen in DOMAIN.seen)
    assert all(DATA[seen.row].use == "fit" for seen in DOMAIN.seen)


@pytest.mark.parametrize(
    "text", ["1 MIU sc daily x5", "0.5 MIU sc once", "0.26 MIU/m2 sc every 3 d for 60 d", "none"]
)
def test_what_the_fit_saw_gives_only_the_sentence_on_ccl2(text):
    (sentence,) = said(text, outputs=("treg_pct", "treg_count", "ccl2"))
    assert "ccl2" in sentence and "not fitted" in sentence
    assert said(text, outputs=("treg_pct",)) == ()


@pytest.mark.parametrize("text", ["1 MIU sc daily x3", "1 MIU sc once"])
def test_courses_shorter_than_any_after_which_cells_were_counted_are_named(text):
    (sentence,) = about(said(text, outputs=("nk",)), "shorter")
    assert "the 5 days after which the fit first saw NK cells" in sentence and "Hartemann2013" in sentence
    assert not about(said("1 MIU sc daily x5", outputs=("nk",)), "shorter")
    assert not about(said(text, outputs=("treg_pct", "il2")), "shorter")


def test_a_dose_beyond_those_seen_is_named_with_the_nearest_study():
    (sentence,) = about(said("5 MIU sc daily x5", outputs=("treg_pct",)), "5 MIU")
    assert (
        "above the doses after which the fit saw Tregs (0.17 to 3 MIU)" in sentence
        and "Hartemann2013" in sentence
    )
    assert "unverified" in sentence  # and keeps its mark
    assert "below" in said("0.01 MIU sc once", outputs=("treg_pct",))[0]
    assert about(said("2 MIU/m2 sc daily x5", bsa=1.9, outputs=("treg_pct",)), "3.8 MIU")
    assert not about(said("2 MIU/m2 sc daily x5", bsa=1.4, outputs=("treg_pct",)), "2.8 MIU")
    assert about(said("50 MIU sc once", outputs=("il2",)), "Kirchner1998")


def test_routes_intervals_cycles_and_lengths_beyond_those_seen_are_named():
    tregs = {"outputs": ("treg_pct",)}
    assert "not by iv" in " ".join(said("1 MIU iv once", **tregs))
    assert "DILfrequency" in about(said("1 MIU sc weekly x4", **tregs), "every 7 d")[0]
    (cycles,) = about(said("1 MIU sc daily x5 every 28 d x3", **tregs), "3 cycles")
    assert "IMODALS" in cycles and "only in the first one" in cycles
    assert "Koreth2016" in about(said("1 MIU sc every 2 d for 200 d", **tregs), "200 days of treatment")[0]


def test_weeks_of_daily_doses_have_only_lower_bounds_of_tregs():
    (sentence,) = about(said("1 MIU sc daily x28", outputs=("treg_pct",)), "lower bounds")
    assert "28 days of daily doses: beyond 5 days" in sentence and "Koreth2011, Koreth2016" in sentence
    assert not about(said("1 MIU sc daily x28", outputs=("nk",)), "lower bounds")  # Meropol printed numbers
    assert not about(said("1 MIU sc daily x5", outputs=("treg_pct",)), "lower bounds")


def test_a_row_saw_only_what_was_given_before_its_own_time():
    text = (
        "row,study,arm,n,schedule,output,measure,reducer,time,time_unit,"
        "statistic,value,unit,source,provenance\n"
        "a,One,x,9,1 MIU sc daily x5 every 28 d x3,treg_pct,value,at,{},d,mean,7,percent,invented,reported\n"
    )
    early, late = (Domain.of(parse_data(text.format(day)).rows, "MIU", SHOWN) for day in (7, 64))
    schedule = Schedule.parse("1 MIU sc daily x5 every 28 d x3")
    assert about(map(str, early.beyond(schedule, outputs=("treg_pct",))), "cycles")
    assert late.beyond(schedule, outputs=("treg_pct",)) == ()


def test_doses_of_another_drug_are_not_compared_and_sizes_are_checked():
    assert "cannot be counted in MIU" in said("150 mg dac every 28 d x3")[0]
    with pytest.raises(InputError, match="bsa"):
        said("1 MIU/m2 sc once", bsa=-1.0)
