"""Every interval that a figure draws ends where its numbers say: what is drawn is read back from the
figure."""

import math
from typing import Any

import numpy as np
import pytest

from pkpd.decision.comparison import Scene, compare
from pkpd.present.plot import (
    dose_response_figure,
    front_figure,
    observed_predicted_figure,
    parameter_figure,
    profile_figure,
    residual_figure,
    time_course_figure,
)
from pkpd.present.report.comparison import FIGURES_OF, figures

Z = 1.959963984540054  # 95 % of a normal distribution lie within so many SDs


def bands(axis: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Of every filled band: where it is, its lower and its upper edge."""
    found = []
    for item in axis.collections:
        if type(item).__name__ not in ("FillBetweenPolyCollection", "PolyCollection"):
            continue
        corners = item.get_paths()[0].vertices
        at = np.unique(corners[:, 0])
        ends = [corners[corners[:, 0] == x, 1] for x in at]
        found.append((at, np.array([y.min() for y in ends]), np.array([y.max() for y in ends])))
    return found


def spans(axis: Any, width: float | None = None) -> list[tuple[Any, Any]]:
    """(x, y) of every straight line of two points, of this width."""
    return [
        (np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float))
        for line in axis.lines
        if len(line.get_xdata()) == 2 and width in (None, line.get_linewidth())
    ]


def has(found: list[tuple[Any, Any]], x: Any, y: Any) -> bool:
    return any(np.allclose(a, x, rtol=1e-9) and np.allclose(b, y, rtol=1e-9) for a, b in found)


def curve(n: int = 9) -> dict[str, Any]:
    dose = np.linspace(0.0, 3.0, n)
    return {"dose": dose, "median": dose, "low": dose - 0.7 * dose**0.5, "high": 1.3 * dose + 0.1}


def test_the_band_of_a_dose_response_and_the_intervals_of_its_points() -> None:
    point = {"dose": 1, "value": 3.9, "interval": (3.2, 4.9), "dose_interval": (0.8, 1.4), "study": "a"}
    panel = {"title": "", "dose_unit": "MIU", "unit": "%", "curves": [curve()], "points": [point]}
    (axis,) = (axis for axis in dose_response_figure([panel]).axes if axis.get_visible())
    ((at, low, high),) = bands(axis)
    np.testing.assert_allclose(at, curve()["dose"])
    np.testing.assert_allclose((low, high), (curve()["low"], curve()["high"]))
    lines = [item.get_segments()[0] for item in axis.collections if hasattr(item, "get_segments")]
    ends = [np.sort(segment, axis=0).tolist() for segment in lines]
    assert [[1.0, 3.2], [1.0, 4.9]] in ends and [[0.8, 3.9], [1.4, 3.9]] in ends


def test_bands_of_courses_are_quantiles_of_their_subjects() -> None:
    generator = np.random.default_rng(1)
    outputs = np.exp(generator.normal(size=(4001, 6, 1)))
    course = {
        "times": np.arange(6.0),
        "outputs": outputs,
        "names": ["C"],
        "units": ["mg/L"],
        "time_unit": "h",
        "dose_times": [0.0],
    }
    for figure in (profile_figure(course), time_course_figure({"arm": course})):
        ((at, low, high),) = bands(figure.axes[0])
        inside = (low <= outputs[:, :, 0]) & (outputs[:, :, 0] <= high)
        np.testing.assert_allclose(inside.mean(axis=0), 0.9, atol=1e-3)
        (label,) = (text.get_text() for text in figure.legends[0].get_texts() if "%" in text.get_text())
        assert label == "5 % to 95 % of subjects"
        assert at.size == 6


ROW = {
    "study": "a",
    "arm": "b",
    "what": "c",
    "unit": "%",
    "n": 5,
    "observed": 4.0,
    "observed_interval": (4 - Z * 0.5, 4 + Z * 0.5),
    "predicted": 4.6,
    "predicted_interval": (4.1, 5.3),
    "deviation": 1.2,
    "use": "fit",
    "provenance": "reported",
}


def test_intervals_of_every_number_are_in_standard_errors_and_the_grey_band_is_95_percent() -> None:
    axis = observed_predicted_figure([ROW]).axes[0]
    found = [x for x, _ in spans(axis, 1.2)]
    assert any(np.allclose(x, (-Z, Z), atol=1e-3) for x in found)
    assert any(np.allclose(x, ((4.1 - 4) / 0.5, (5.3 - 4) / 0.5)) for x in found)
    (grey,) = (patch.get_extents().transformed(axis.transData.inverted()) for patch in axis.patches)
    assert (grey.x0, grey.x1) == pytest.approx((-Z, Z), abs=1e-3)
    limits = [
        line.get_xdata()[0] for line in residual_figure([ROW]).axes[0].lines if line.get_gid() == "limit"
    ]
    assert sorted(limits) == [-2, 2]  # and so it is called: beyond 2


@pytest.mark.parametrize("scale", ["log", "linear", "logit"])
def test_intervals_of_estimates_are_in_standard_deviations_of_the_prior(scale: str) -> None:
    back = {"log": np.exp, "linear": np.positive, "logit": lambda x: 1 / (1 + np.exp(-x))}[scale]
    middle, sd, at, error = 0.3, 0.4, 0.5, 0.1
    parameter = {
        "name": "p",
        "unit": "",
        "scale": scale,
        "estimate": back(at),
        "interval": tuple(back(np.array((at - Z * error, at + Z * error)))),
        "prior_interval": tuple(back(np.array((middle - Z * sd, middle + Z * sd)))),
    }
    axis = parameter_figure([parameter]).axes[0]
    expected = (np.array((at - Z * error, at + Z * error)) - middle) / sd
    assert any(np.allclose(x, expected, rtol=1e-3) for x, _ in spans(axis, 1.6))


def test_intervals_of_a_front_are_those_of_its_schedules() -> None:
    choices = [{"number": 1, "gain": (2.0, 1.5, 2.8), "cost": (3.0, 2.9, 3.4)}]
    seen = [{"holds": True, "gain": 1.9, "cost": 3.1}]
    axis = front_figure(choices, seen, [{"name": "gain", "title": ""}, {"name": "cost", "title": ""}]).axes[0]
    found = spans(axis, 1.1)
    assert len(found) == 2
    assert has(found, (2.9, 3.4), (2, 2)) and has(found, (3, 3), (1.5, 2.8))


@pytest.fixture(scope="module")
def compared():
    scene = Scene.create(subjects=120, draws=20, seed=2)
    return compare(scene.arms(["1 MIU sc daily x5", "2 MIU sc daily x5", "0.5 MIU sc weekly x3"]))


def test_bands_of_compared_courses_are_those_of_the_arms(compared) -> None:
    figure = figures(compared)["courses"][1]
    axes = [axis for axis in figure.axes if axis.get_visible() and "Regulatory" in axis.get_title(loc="left")]
    drawn = bands(axes[0])
    assert len(drawn) == len(compared.arms) <= FIGURES_OF
    for (at, low, high), arm in zip(drawn, compared.arms, strict=True):
        band = arm.bands["treg_pct"]
        np.testing.assert_allclose(low, np.interp(at, arm.days, band[0]), rtol=1e-6)
        np.testing.assert_allclose(high, np.interp(at, arm.days, band[2]), rtol=1e-6)


def test_differences_are_drawn_from_end_to_end(compared) -> None:
    axis = figures(compared)["differences"][1].axes[0]
    edge = axis.get_xlim()[1] / 1.02
    checked = 0
    for row in compared.main().rows:
        base = abs(compared.row(row.endpoint.name, 0).median)
        if math.isnan(row.difference) or not base:
            continue
        for width, ends in (
            (1.0, (row.difference_low, row.difference_high)),
            (3.2, (row.difference_median_low, row.difference_median_high)),
        ):
            if not any(map(math.isnan, ends)):
                x = np.clip(100 * np.array(ends) / base, -edge, edge)
                assert any(np.allclose(found, x, rtol=1e-9, atol=1e-9) for found, _ in spans(axis, width)), (
                    row
                )
                checked += 1
    assert checked > 40


GAIN, COSTS = "Treg mean fold", ("adverse event", "NK mean fold", "injections per 28 days")
COST_FACTOR = {"adverse event": 100}


def test_trade_offs_are_drawn_from_end_to_end(compared) -> None:
    axes = [axis for axis in figures(compared)["trade_off"][1].axes if axis.get_visible()]
    for axis, cost in zip(axes, COSTS, strict=True):
        for i in range(len(compared.arms)):
            gain, price = compared.row(GAIN, i), compared.row(cost, i)
            factor = COST_FACTOR.get(cost, 1)
            x, y = factor * price.median, 100 * (gain.median - 1)
            for width, low, high in ((1.0, "low", "high"), (3.2, "median_low", "median_high")):
                ends = [100 * (getattr(gain, name) - 1) for name in (low, high)]
                assert has(spans(axis, width), (x, x), ends)
                ends = [factor * getattr(price, name) for name in (low, high)]
                if not any(map(math.isnan, ends)):
                    assert has(spans(axis, width), ends, (y, y))
