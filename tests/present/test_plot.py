"""A figure shows what it was given: every number one marker, hollow where unverified, axes with units, doses
as a rug; files are replaced whole and the same figure gives the same bytes."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pkpd.core.errors import InputError
from pkpd.dosing import Schedule
from pkpd.present.plot import (
    COLOURS,
    dose_response_figure,
    observed_predicted_figure,
    parameter_figure,
    profile_figure,
    residual_checks_figure,
    residual_figure,
    save,
    svg,
    time_course_figure,
    visits_figure,
)
from pkpd.present.plot.canvas import GREY, new_figure, put_title

SCHEDULE = "1 MIU sc daily x5 every 28 d x3"


def course(n_subjects: int = 20, scale: float = 1.0, **changes: Any) -> dict[str, Any]:
    times = np.arange(0.0, 60 * 24 + 1, 12)
    spread = np.exp(np.linspace(-0.5, 0.5, n_subjects))[:, None]
    outputs = np.stack([scale * spread * np.exp(-times / 200), 7 + spread * times / 500], axis=-1)
    return {
        "times": times,
        "outputs": outputs,
        "names": ("C", "treg"),
        "units": ("pM", "percent"),
        "descriptions": ("plasma IL-2", "regulatory T cells"),
        "time_unit": "h",
        "schedule": Schedule.parse(SCHEDULE),
        **changes,
    }


def row(
    study: str, deviation: float | None, provenance: str = "reported", use: str = "fit", **changes: Any
) -> dict[str, Any]:
    observed, error = 4.0, 0.5
    return {
        "study": study,
        "arm": "1 MIU",
        "what": "change at day 8",
        "n": 12,
        "unit": "percent",
        "observed": observed,
        "observed_interval": (observed - 1.96 * error, observed + 1.96 * error),
        "predicted": observed + (deviation or 0) * error,
        "predicted_interval": None,
        "deviation": deviation,
        "provenance": provenance,
        "use": use,
        **changes,
    }


def marked(figure: Figure, gid: str) -> list[Any]:
    """The scatter collections of that kind, in the order of drawing."""
    return [item for axis in figure.axes for item in axis.collections if item.get_gid() == gid]


def hollow(item: Any) -> bool:
    return to_hex(item.get_facecolor()[0]) == "#ffffff"


def panels(figure: Figure) -> list[Any]:
    return [axis for axis in figure.axes if axis.get_visible()]


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


# --- profiles ---


def test_a_panel_per_output_with_units_on_both_axes() -> None:
    figure = profile_figure(course())
    assert [axis.get_ylabel() for axis in panels(figure)] == ["C (pM)", "treg (%)"]
    assert [axis.get_title(loc="left") for axis in panels(figure)] == ["plasma IL-2", "regulatory T cells"]
    # sixty days are shown in days
    assert {axis.get_xlabel() for axis in panels(figure)} == {"time (d)"}
    assert panels(figure)[0].lines[0].get_xdata()[-1] == 60
    assert figure.get_suptitle() == SCHEDULE


def test_the_line_is_the_median_and_the_band_the_quantiles() -> None:
    given = course()
    figure = profile_figure(given, outputs=["treg"], band=(0.1, 0.9))
    (axis,) = panels(figure)
    np.testing.assert_array_equal(axis.lines[0].get_ydata(), np.median(given["outputs"][:, :, 1], axis=0))
    low, high = np.quantile(given["outputs"][:, :, 1], (0.1, 0.9), axis=0)
    vertices = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert vertices.min() == pytest.approx(low.min())
    assert vertices.max() == pytest.approx(high.max())
    assert "10 % to 90 % of subjects" in legend(figure)


def test_every_dose_is_a_tick_of_the_rug_in_the_unit_of_the_axis() -> None:
    figure = profile_figure(course(), outputs=["C"])
    (rug,) = marked(figure, "dose")
    assert [segment[0][0] for segment in rug.get_segments()] == [d + c for c in (0, 28, 56) for d in range(5)]
    assert "dose" in legend(figure)
    assert "dose" not in legend(profile_figure(course(schedule=Schedule.none())))


def test_one_subject_has_no_band_and_a_failed_one_stands_aside() -> None:
    assert "one subject" in legend(profile_figure(course(n_subjects=1)))
    given = course(n_subjects=5)
    given["outputs"][2, 10:] = math.nan
    line = panels(profile_figure(given))[0].lines[0].get_ydata()
    np.testing.assert_array_equal(line[10:], np.median(given["outputs"][[0, 1, 3, 4], 10:, 0], axis=0))
    given["outputs"][:, 30:] = math.nan
    assert np.isnan(panels(profile_figure(given))[0].lines[0].get_ydata()[30:]).all()


def test_overlaid_schedules_have_their_own_colour_rug_and_name_and_one_time_unit() -> None:
    short = course(time_unit="d", times=np.linspace(0, 2, 121), schedule=None, dose_times=[0.0, 1.0])
    figure = profile_figure({"long": course(), "short": short})
    axis = panels(figure)[0]
    assert [line.get_color() for line in axis.lines] == list(COLOURS[:2])
    assert [line.get_xdata()[-1] for line in axis.lines] == [60, 2]
    assert [len(rug.get_segments()) for rug in marked(figure, "dose")[:2]] == [15, 2]
    assert legend(figure)[:2] == ["long", "short"]


def test_a_course_can_be_an_object_a_table_or_quantiles() -> None:
    given = course()

    class Profile:
        def __init__(self) -> None:
            self.__dict__.update(given)

    n_subjects, n_times, _ = given["outputs"].shape
    table = pd.DataFrame(
        {
            "subject": np.repeat(np.arange(n_subjects), n_times),
            "time": np.tile(given["times"], n_subjects),
            "C": given["outputs"][:, :, 0].ravel(),
            "treg": given["outputs"][:, :, 1].ravel(),
        }
    )
    table.attrs = {"time_unit": "h", "units": {"C": "pM", "treg": "percent"}}
    low, median, high = np.quantile(given["outputs"], (0.05, 0.5, 0.95), axis=0)
    quantiles = {key: value for key, value in given.items() if key != "outputs"}
    expected = panels(profile_figure(given))[1].lines[0].get_ydata()
    for other in (
        Profile(),
        table.sample(frac=1, random_state=1),
        quantiles | {"low": low, "median": median, "high": high},
    ):
        axis = panels(profile_figure(other))[1]
        np.testing.assert_array_equal(axis.lines[0].get_ydata(), expected)
        assert axis.get_ylabel() == "treg (%)"


def footnote(figure: Figure) -> list[Any]:
    return [text for text in figure.texts if text.get_gid() == "footnote"]


@pytest.mark.parametrize("outputs", [["C"], ["C", "treg"]])
def test_what_a_model_warns_of_is_a_footnote_that_covers_nothing(outputs: list[str]) -> None:
    cautions = ("The trial was negative ($p = 0.3$).", "The subgroup is post hoc. " * 8 + "Mind it.")
    plain, figure = (profile_figure(course(cautions=said), outputs=outputs) for said in ((), cautions))
    assert footnote(plain) == []
    (words,) = footnote(figure)
    joined = " ".join((*cautions, "A model, not medical advice.")).replace("$", r"\$")
    assert words.get_text().replace("\n", " ") == joined
    assert b"($p = 0.3$)" in svg(figure), "no formula"
    figure.draw_without_rendering()
    page, note, legend = figure.bbox, words.get_window_extent(), figure.legends[0].get_window_extent()
    assert page.x0 <= note.x0 and note.x1 <= page.x1 and page.y0 <= note.y0
    assert note.y1 <= legend.y0
    assert legend.y1 <= min(axis.get_tightbbox().y0 for axis in panels(figure))
    # panels are not made smaller for it
    plain.draw_without_rendering()
    heights = [figure.axes[0].get_window_extent().height for figure in (plain, figure)]
    assert heights[1] == pytest.approx(heights[0], rel=0.05)


def test_courses_of_several_models_warn_of_each_thing_once() -> None:
    drawn = {"a": course(cautions=("one trial",)), "b": course(cautions=("one trial", "post hoc"))}
    for figure in (profile_figure(drawn), time_course_figure(drawn)):
        (words,) = footnote(figure)
        assert words.get_text() == "one trial post hoc A model, not medical advice."
    table = pd.DataFrame({"time": [0.0, 1.0], "C": [1.0, 0.5]})
    table.attrs = {"time_unit": "h", "units": {"C": "pM"}, "cautions": ["one trial"]}
    assert len(footnote(profile_figure(table))) == 1


def test_a_logarithmic_axis_stops_after_six_decades() -> None:
    given = course(n_subjects=1)
    given["outputs"][0, :, 0] = np.exp(-given["times"])
    axis = panels(profile_figure(given, log=["C"]))[0]
    assert axis.get_yscale() == "log"
    assert axis.get_ylim()[0] == pytest.approx(1e-6, rel=1)


def test_arms_side_by_side_share_the_scale_of_a_row_and_show_reported_numbers() -> None:
    observed = [
        {
            "arm": "2 MIU",
            "output": "treg",
            "time": 8 * 24,
            "value": 60.0,
            "interval": (50, 70),
            "provenance": "unverified",
        },
        {"arm": "placebo", "output": "treg", "time": 8 * 24, "value": 7.0, "provenance": "reported"},
    ]
    arms = {"placebo": course(schedule=Schedule.none()), "1 MIU": course(), "2 MIU": course(scale=2)}
    figure = time_course_figure(arms, observed=observed, outputs=["C", "treg"])
    grid = np.array(panels(figure)).reshape(2, 3)
    assert [axis.get_title(loc="left") for axis in grid[0]] == ["placebo", "1 MIU", "2 MIU"]
    assert grid[1, 0].get_ylabel() == "regulatory T cells (%)"
    for line in grid:
        assert len({axis.get_ylim() for axis in line}) == 1
    # neither the largest arm nor the end of a reported interval is cut off
    assert grid[0, 0].get_ylim()[1] > np.max(2 * np.exp(0.4))
    assert grid[1, 0].get_ylim()[1] > 70
    first, second = marked(figure, "point")
    assert (hollow(first), hollow(second)) == (False, True)
    assert second.get_offsets().tolist() == [[8, 60]]


# --- fits ---


def points() -> list[dict[str, Any]]:
    return [
        {
            "dose": 1,
            "value": 3.9,
            "interval": (3.2, 4.6),
            "n": 12,
            "study": "IMODALS",
            "provenance": "reported",
        },
        {
            "dose": 1,
            "value": 3.9,
            "interval": (2.0, 5.8),
            "n": 6,
            "study": "Hartemann",
            "provenance": "unverified",
        },
        {
            "dose": 3,
            "value": 5.0,
            "interval": (5.0, None),
            "n": 35,
            "study": "Koreth",
            "provenance": "reported",
        },
    ]


def test_dose_response_points_go_by_n_and_stand_side_by_side() -> None:
    dose = np.linspace(0, 3, 20)
    curve = {"dose": dose, "median": dose, "low": dose - 1, "high": dose + 1, "label": "mechanism"}
    panel = {
        "title": "day 8",
        "dose_unit": "MIU",
        "unit": "percentage points",
        "output": "Treg",
        "curves": [curve],
        "points": points(),
    }
    figure = dose_response_figure([panel])
    (axis,) = panels(figure)
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("dose (MIU)", "Treg (percentage points)")
    drawn = marked(figure, "point")
    assert [hollow(item) for item in drawn] == [False, True, False]
    area = [item.get_sizes()[0] for item in drawn]
    assert area[0] == pytest.approx(2 * area[1])
    left, right, _ = (item.get_offsets()[0][0] for item in drawn)
    assert left < 1 < right
    assert right - left < 0.1
    # intervals are lines, a bound is an arrow
    assert len(axis.texts) == 1
    assert {"mechanism", "IMODALS", "Koreth", "n = 6", "n = 35", "unverified"} <= set(legend(figure))


def test_a_panel_may_have_a_logarithmic_axis_of_concentrations_and_intervals_of_doses() -> None:
    bath = {"dose": 10.0, "value": 50, "dose_interval": (4, 30), "study": "Farhat", "provenance": "reported"}
    curve = {"dose": [1, 10, 1000], "median": [0, 50, 100]}
    panel = {
        "dose_unit": "pM",
        "unit": "percent",
        "dose_name": "bath",
        "log": True,
        "curves": [curve],
        "points": [bath],
    }
    figure = dose_response_figure([panel])
    (axis,) = panels(figure)
    assert axis.get_xscale() == "log"
    assert axis.get_xlabel() == "bath (pM)"
    assert axis.get_xlim()[0] < 1 < 1000 < axis.get_xlim()[1]
    (span,) = (item.get_segments() for item in axis.collections if hasattr(item, "get_segments"))
    assert span[0].tolist() == [[4, 50], [30, 50]]
    # one study to a panel: the title names it, not the colour
    assert "Farhat" not in legend(figure)


def rows() -> list[dict[str, Any]]:
    return [
        row("IMODALS", 0.5),
        row("IMODALS", -3.0, use="check"),
        row("Hartemann", 9.0, provenance="unverified"),
        row("Koreth", None),
    ]


def test_observed_and_predicted_is_a_line_per_row_under_its_study() -> None:
    figure = observed_predicted_figure(rows())
    (axis,) = panels(figure)
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels[0] == "IMODALS"
    assert labels[1] == "1 MIU: change at day 8, n = 12"
    assert len(labels) == 4 + 3
    drawn = marked(figure, "predicted")
    assert [item.get_offsets()[0][0] for item in drawn] == [0.5, -3.0, 6.0]
    assert [hollow(item) for item in drawn] == [False, False, True]
    texts = [text.get_text() for text in axis.texts]
    # the row without a prediction still says what was reported
    assert texts.count("4") == 4 + 1
    assert "8.5" in texts
    assert {"unverified", "predicted, kept out of the fit"} <= set(legend(figure))
    assert "standard errors" in axis.get_xlabel()


def test_a_bound_that_is_kept_is_drawn_from_the_reported_number_on() -> None:
    kept = row("Trial", -1e-12, observed=8.0, observed_interval=(8.0, None), predicted=14.6)
    figure = observed_predicted_figure([kept])
    assert len(marked(figure, "predicted")) == 1
    spans = [line.get_xdata() for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    assert any(start == 0 and end > 6 for start, end in spans)


def test_an_open_interval_reaches_the_edge() -> None:
    figure = observed_predicted_figure([row("Koreth", 1.0, observed_interval=(4.0, None))])
    (axis,) = panels(figure)
    span = max(axis.lines, key=lambda line: np.ptp(line.get_xdata())).get_xdata()
    assert span[0] == pytest.approx(0)
    assert span[1] == pytest.approx(axis.get_xlim()[1])


def test_residuals_stand_by_study_between_lines_at_two() -> None:
    figure = residual_figure(rows())
    (axis,) = panels(figure)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["IMODALS", "Hartemann"]
    assert sorted(line.get_xdata()[0] for line in axis.lines if line.get_gid() == "limit") == [-2, 2]
    drawn = marked(figure, "residual")
    assert [item.get_offsets()[0][0] for item in drawn] == [0.5, -3.0, 6.0]
    assert [hollow(item) for item in drawn] == [False, False, True]


def test_parameters_are_placed_in_standard_deviations_of_their_prior() -> None:
    ratio = math.exp(1.96 * 0.5)
    parameters = [
        {
            "name": "EC50",
            "unit": "pM",
            "estimate": 10 * math.exp(0.5),
            "interval": (8, 30),
            "prior_interval": (10 / ratio, 10 * ratio),
        },
        {
            "name": "shift",
            "unit": "",
            "estimate": -0.3,
            "interval": (-0.5, -0.1),
            "prior_interval": (-0.588, 0.588),
            "provenance": "unverified",
        },
        {
            "name": "F",
            "unit": "1",
            "estimate": 0.5,
            "interval": (0.4, 0.6),
            "prior_interval": (0.2, 0.8),
            "scale": "logit",
        },
        {"name": "V", "unit": "L", "estimate": 5, "interval": None, "prior_interval": None},
    ]
    figure = parameter_figure(parameters)
    (axis,) = panels(figure)
    drawn = marked(figure, "estimate")
    assert [item.get_offsets()[0][0] for item in drawn] == pytest.approx([1, -1, 0])
    assert [hollow(item) for item in drawn] == [False, True, False]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["EC50 (pM)", "shift", "F", "V (L)"]
    texts = [text.get_text() for text in axis.texts]
    assert "no prior" in texts
    assert "−0.3  (−0.5 to −0.1)" in texts


@pytest.mark.parametrize(
    ("draw", "said"),
    [
        (lambda: profile_figure({}), "no profile"),
        (lambda: profile_figure(course(), outputs=["Treg"]), 'no output "Treg".*C, treg'),
        (lambda: profile_figure(course(names=("C",))), "do not fit"),
        (
            lambda: profile_figure({"times": [0.0], "outputs": np.zeros((1, 1, 1))}),
            "lacks names, units, time_unit",
        ),
        (lambda: profile_figure(course(times=[], outputs=np.zeros((1, 0, 2)))), "at least one time"),
        (lambda: profile_figure(pd.DataFrame({"a": [1]})), 'column "time"'),
        (lambda: time_course_figure({}), "no arm"),
        (lambda: time_course_figure({"a": course()}, observed=[{"arm": "b", "output": "C"}]), 'arm "b"'),
        (lambda: dose_response_figure([]), "no dose-response"),
        (lambda: observed_predicted_figure([]), "no row"),
        (lambda: residual_figure([row("a", None)]), "no residual"),
        (lambda: residual_checks_figure([row("a", None)]), "no residual"),
        (lambda: visits_figure([]), "no arm with means"),
        (lambda: parameter_figure([]), "no parameter"),
    ],
)
def test_what_cannot_be_drawn_is_said(draw: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        draw()


# --- files ---


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_the_same_figure_gives_the_same_bytes(tmp_path: Path, ending: str) -> None:
    first = save(profile_figure(course()), tmp_path / f"a.{ending}")
    second = save(profile_figure(course()), tmp_path / f"b.{ending}")
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_bytes()) > 1000


def test_an_svg_has_no_date_and_its_text_is_text() -> None:
    document = svg(profile_figure(course())).decode()
    assert "<dc:date>" not in document
    assert "plasma IL-2" in document


def test_a_failed_save_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "figure.png"
    save(residual_figure(rows()), path)
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        save(profile_figure(course()), path)
    monkeypatch.undo()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    save(profile_figure(course()), path)
    assert path.read_bytes() != before
    assert list(tmp_path.iterdir()) == [path]


def test_a_path_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    figure = residual_figure(rows())
    for path in (tmp_path / "figure.bmp", tmp_path / "missing" / "figure.png"):
        with pytest.raises(InputError):
            save(figure, path)


def test_drawing_leaves_no_trace_in_matplotlib(tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    save(observed_predicted_figure(rows()), tmp_path / "figure.svg")
    assert dict(matplotlib.rcParams) == before


def test_matplotlib_is_loaded_late_and_pyplot_never() -> None:
    script = (
        "import sys, pkpd.present.plot as plot\n"
        "assert 'matplotlib' not in sys.modules\n"
        "plot.svg(plot.residual_figure([dict(study='a', deviation=1.0)]))\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def visits(study_effect: bool = True) -> list[dict[str, Any]]:
    names = ["parameters", *(["study effect"] if study_effect else []), "sampling"]
    bands = [
        {"name": name, "low": [5.0 - k, 4.0 - k], "high": [6.0 + k, 5.0 + k]} for k, name in enumerate(names)
    ]
    point = {"time": 2.0, "value": 5.2, "interval": [4.0, 6.4], "provenance": "unverified"}
    statistics = [
        {"name": name, "fitted": [5.6, 4.6], "typical": [5.5, 4.5], "bands": bands, "points": given}
        for name, given in (("mean", [point]), ("SD", []))
    ]
    arm = {"output": "C", "unit": "mg/L", "time_unit": "h", "times": [1.0, 2.0], "statistics": statistics}
    return [arm | {"title": f"S, arm {k}"} for k in range(5)]


def test_an_arm_over_visits_has_its_mean_above_its_sd_in_named_bands() -> None:
    figure = visits_figure(visits())
    shown = panels(figure)
    assert len(shown) == 10  # of five arms, in rows of three
    assert [axis.get_title(loc="left") for axis in shown if axis.get_title(loc="left")] == [
        f"S, arm {k}" for k in range(5)
    ]
    assert [axis.get_ylabel() for axis in shown[:6:3]] == ["mean of C (mg/L)", "SD of C (mg/L)"]
    assert {"parameters", "+ study effect", "+ sampling", "unverified"} <= set(legend(figure))
    for name in ("parameters", "study effect", "sampling"):
        assert len(marked(figure, name)) == 10
    assert [sum(line.get_gid() == "fitted" for line in axis.lines) for axis in shown] == [1] * 10
    (first, *_) = marked(figure, "point")
    assert np.asarray(first.get_offsets())[0] == pytest.approx([2.0, 5.2])
    assert hollow(first)
    alone = visits_figure(visits(study_effect=False)[:1])
    assert not any(
        line.get_gid() == "fitted" for axis in panels(alone) for line in axis.lines
    )  # it would lie on what is expected
    assert not any("study" in label for label in legend(alone))


def test_residuals_are_placed_by_quantile_time_and_rank() -> None:
    given = [
        {
            "deviation": z,
            "days": days,
            "rank": rank,
            "quantile": z / 2,
            "quantile_low": z / 2 - 1,
            "quantile_high": z / 2 + 1,
            "provenance": provenance,
        }
        for z, days, rank, provenance in (
            (-1.0, 0.0, 0.2, "reported"),
            (9.0, 300.0, 0.8, "reported"),
            (0.5, 7.0, 0.5, "unverified"),
        )
    ]
    figure = residual_checks_figure(given)
    by_quantile, by_time, by_rank = panels(figure)
    for axis, x in ((by_quantile, [-0.5, 4.5]), (by_time, [0.0, 300.0]), (by_rank, [0.2, 0.8])):
        known, unverified = (item for item in axis.collections if item.get_gid() == "residual")
        assert np.asarray(known.get_offsets())[:, 0] == pytest.approx(x)
        assert np.asarray(known.get_offsets())[:, 1] == pytest.approx([-1, 6])  # beyond is at the edge
        assert len(unverified.get_offsets()) == 1 and hollow(unverified)
    low, high = by_time.get_xlim()
    assert low < 0 and high > 300
    assert "unverified" in legend(figure)


def test_a_parameter_that_the_data_did_not_move_is_grey_with_the_share_of_its_sd() -> None:
    prior = {"unit": "", "estimate": 0.0, "interval": (-1, 1), "prior_interval": (-1, 1), "scale": "linear"}
    parameters = [
        {"name": "kept", "shrinkage": 0.98, "unmoved": True} | prior,
        {"name": "told", "shrinkage": 0.31, "unmoved": False} | prior,
    ]
    figure = parameter_figure(parameters)
    kept, told = marked(figure, "estimate")
    assert to_hex(kept.get_edgecolor()[0]) == GREY.lower() != to_hex(told.get_edgecolor()[0])
    (axis,) = panels(figure)
    assert {"× 0.98", "× 0.31"} <= {text.get_text() for text in axis.texts}
    assert "posterior, not moved by the data" in legend(figure)


@pytest.mark.parametrize("width", [6.0, 7.0, 7.8, 8.0])
def test_a_long_title_stays_within_its_figure(width):
    figure = new_figure(width, 3.0)
    put_title(
        figure,
        "IMODALS: low-dose interleukin-2 in amyotrophic lateral sclerosis, 1 and 2 MIU against placebo",
    )
    figure.draw_without_rendering()
    title = figure._suptitle.get_window_extent()
    assert title.x0 >= 0 and title.x1 <= 0.99 * figure.bbox.width
    assert figure.get_suptitle().replace("\n", " ").endswith("against placebo")
