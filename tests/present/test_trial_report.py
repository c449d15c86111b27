"""Figures of trials end where their numbers say: what is drawn is read back from the figure."""

import numpy as np
import pytest

from pkpd.core.errors import InputError
from pkpd.present.plot import (
    adverse_figure,
    forest_figure,
    looks_figure,
    power_figure,
    survival_figure,
    trial_visits_figure,
)


def curve(group="all", arm="a", points=()):
    days = np.array([0.0, 100, 200])
    low, median, high = np.array([[1, 0.7, 0.5], [1, 0.8, 0.6], [1, 0.9, 0.7]])
    return {"group": group, "arm": arm, "patients": 10, "days": days, "low": low, "median": median,
            "high": high, "points": points}  # fmt: skip


def test_survival_has_a_panel_a_group_and_published_shares_where_they_are():
    point = {"day": 200, "value": 0.54, "provenance": "unverified"}
    figure = survival_figure([curve(points=[point]), curve(arm="b"), curve("high")], title="t")
    left, right = (axis for axis in figure.axes if axis.get_visible())
    assert "all (n = 10 + 10)" in left.get_title(loc="left")
    assert len(left.lines) == 2
    assert len(right.lines) == 1
    (drawn,) = (item for item in left.collections if item.get_gid() == "published")
    assert drawn.get_offsets().tolist() == [[200, 0.54]]
    assert drawn.get_facecolor()[0, :3].tolist() == [1, 1, 1]  # hollow
    assert "unverified" in figure.legends[0].get_texts()[-1].get_text()


def test_a_forest_plot_has_predicted_and_published_intervals():
    rows = [
        {"label": "HR", "median": 0.8, "low": 0.6, "high": 1.1, "published": 0.52, "published_low": 0.3,
         "published_high": 0.89, "provenance": "reported", "inside": False},
        {"label": "ratio", "median": 0.9, "low": 0.8, "high": 1.0},
    ]  # fmt: skip
    axis = forest_figure(rows).axes[0]
    spans = [tuple(line.get_xdata()) for line in axis.lines]
    assert (0.6, 1.1) in spans
    assert (0.3, 0.89) in spans
    assert [text.get_text() for text in axis.get_yticklabels()] == ["HR", "ratio"]
    assert axis.get_xscale() == "log"


def test_visits_and_power_are_drawn_as_they_are_given():
    of = {"arm": "a", "days": [0, 7], "mean": [1.0, 2.0], "low": [0.5, 1.5], "high": [1.5, 2.5]}
    figure = trial_visits_figure([{"title": "Treg", "unit": "percent", "arms": [of]}])
    assert figure.axes[0].get_ylabel() == "%"
    assert figure.axes[0].lines[0].get_ydata().tolist() == [1.0, 2.0]
    line = {"label": "log-rank", "patients": [100, 200], "power": [0.4, 0.7], "se": [0.02, 0.02]}
    assert power_figure([line]).axes[0].lines[0].get_ydata().tolist() == [0.4, 0.7]


def test_shares_with_adverse_events_have_a_panel_an_analysis_and_a_line_an_arm():
    rows = [
        {"group": group, "arm": arm, "median": 0.5, "low": 0.25, "high": 0.75}
        for group in ("first", "any")
        for arm in ("placebo", "drug")
    ]
    axes = [axis for axis in adverse_figure(rows).axes if axis.get_visible()]
    assert len(axes) == 2
    assert axes[0].lines[2].get_xdata().tolist() == [0.25, 0.75]
    assert axes[0].lines[2].get_ydata().tolist() == [-1, -1]
    assert [text.get_text() for text in axes[0].get_yticklabels()] == ["placebo", "drug"]


def test_bars_of_looks_are_as_high_as_the_shares_of_trials_that_stop():
    none = {"efficacy": 0.0, "harm": 0.0, "futility": 0.0, "undecided": 0.0}
    rows = [
        {**none, "look": "half", "day": 400.0, "efficacy": 0.25, "futility": 0.125},
        {**none, "look": "the end", "day": float("nan"), "undecided": 0.625},
    ]
    axis = looks_figure(rows).axes[0]
    bars = {(bar.get_gid(), k): bar for of in axis.containers for k, bar in enumerate(of)}
    heights = [bars[why, 0].get_height() for why in ("efficacy", "futility")]
    assert heights == [0.25, 0.125]
    assert bars["futility", 0].get_y() == 0.25
    assert bars["undecided", 1].get_height() == 0.625
    assert [text.get_text() for text in axis.get_xticklabels()] == ["half\nday 400", "the end"]


@pytest.mark.parametrize(
    "draw",
    [adverse_figure, survival_figure, forest_figure, trial_visits_figure, looks_figure, power_figure],
)
def test_nothing_to_draw_is_said(draw):
    with pytest.raises(InputError, match="to draw"):
        draw([])
