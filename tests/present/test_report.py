"""A report is one page without outside resources, marks every unverified number, says that it is a model, and
appears whole."""

import dataclasses
import json
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from pkpd.core.errors import DataError, InputError
from pkpd.core.normal import Z95
from pkpd.inference import (
    Change,
    Estimate,
    FitResult,
    InnerCheck,
    ModelScore,
    RivalComparison,
    RowResult,
    StartResult,
    StudyLeftOut,
    WithoutUnverified,
)
from pkpd.present import report
from pkpd.present.report.numbers import number, signed


def row(name, study, **given):
    return RowResult(
        **{
            "id": name,
            "study": study,
            "arm": "1 MIU",
            "population": "people",
            "n": 12,
            "schedule": "1 MIU sc daily x5",
            "output": "treg_pct",
            "measure": "change",
            "reducer": "at",
            "time": "7",
            "time_unit": "d",
            "statistic": "mean",
            "likelihood": "normal mean",
            "unit": "percent",
            "use": "fit",
            "observed": 3.9,
            "observed_lower": 3.2,
            "observed_upper": 4.6,
            "predicted": 4.1,
            "predicted_lower": 3.6,
            "predicted_upper": 4.7,
            "residuals": (0.6, -0.2),
            "labels": ("mean", "spread"),
            "contribution": 0.4,
            "source": "A paper, table 2",
            "doi": "10.1000/1",
            "provenance": "reported",
            "note": "",
        }
        | given
    )


def estimate(name, **given):
    return Estimate(
        **{
            "name": name,
            "kind": "parameter",
            "target": name,
            "study": "",
            "unit": "1/d",
            "scale": "log",
            "prior": "lognormal(1.7, 0.4)",
            "prior_value": 1.7,
            "value": 1.5,
            "rse": 13.0,
            "lower": 1.1,
            "upper": 1.9,
            "x": math.log(1.5),
            "x_sd": 0.12,
            "shrinkage": 0.3,
            "verdict": "the data inform",
            "at_bound": False,
            "source": "another paper",
            "provenance": "reported",
        }
        | given
    )


@pytest.fixture
def result():
    left = (StudyLeftOut("Trial 1", 1, 2, -3.0, 2.1, True),)
    score = ModelScore("il2_treg", "mechanism", 1.0, 2.0, 10, 8.2, 3.0, 4.0, -3.0, True, left)
    rival = dataclasses.replace(score, model="treg_turnover", title="turnover", log_density=-5.0)
    return FitResult(
        name="made_up",
        title="A made-up fit <b>&",
        model="il2_treg",
        model_title="a model",
        converged=True,
        interrupted=False,
        message="converged",
        ofv=41.25,
        ofv_prior=3.5,
        minus_2ll=120.5,
        aic=140.0,
        bic=150.0,
        n_rows=2,
        n_residuals=4,
        n_parameters=2,
        effective_parameters=1.6,
        informed_directions=1,
        condition_number=12.0,
        estimates=(
            estimate("Emax"),
            estimate("BSA in Trial 1", kind="study effect", target="BSA", study="Trial 1", prior_value=1.0),
            estimate("scale", at_bound=True, provenance="unverified", rse=math.nan, shrinkage=math.nan),
        ),
        correlation=((1.0,),),
        rows=(
            row("a", "Trial 1"),
            row("b", "Trial 2", provenance="unverified", residuals=(-3.2,), labels=("mean",)),
            row("c", "Trial 2", use="check", statistic="lower_bound", n=None, residuals=()),
        ),
        starts=(StartResult(100.0, 44.75, 12, True, "converged"),),
        identifiability="The data inform 1 of 2 directions. Not identified: scale.",
        bad_points=0,
        bad_reasons=(),
        not_predicted={"d": "the model has no such output"},
        notes=(),
        values={"Emax": 1.5},
        study_values={"Trial 1": {"Emax": 1.5}},
        between={"Emax": 0.3},
        noise={},
        covariance=((0.01,),),
        comparison=RivalComparison(("a",), ("b",), score, rival, 2.0, 0.5),
        unverified=WithoutUnverified(
            "without unverified rows", ("b",), 30.0, True, (Change("Emax", 1.5, 1.9, 2.4),), ()
        ),
        check=InnerCheck("2 MIU predicted", ("c",), 30.0, True, (), (row("c", "Trial 2"),)),
        provenance={"versions": {"pkpd": "0.1.0"}, "seed": 1, "run_time_s": 12.3},
    )


@pytest.fixture
def curves():
    course = {
        "times": [0.0, 1.0, 2.0],
        "median": [[1.0], [2.0], [1.5]],
        "low": [[0.5], [1.0], [1.0]],
        "high": [[1.5], [3.0], [2.0]],
        "names": ["change of treg_pct"],
        "units": ["percent"],
        "time_unit": "d",
        "dose_times": [0.0, 1.0],
    }
    point = {
        "row": "a",
        "study": "Trial 1",
        "arm": "1 MIU",
        "n": 12,
        "value": 1.9,
        "interval": [1.5, 2.2],
        "use": "fit",
    }
    return {
        "dose_response": [
            {
                "title": "Trial 1: d 7",
                "output": "change of treg_pct",
                "unit": "percent",
                "dose_unit": "MIU",
                "log": False,
                "curves": [
                    {
                        "label": "m",
                        "dose": [0.0, 1.0],
                        "median": [0.0, 2.0],
                        "low": [0.0, 1.5],
                        "high": [0.0, 2.5],
                    }
                ],
                "points": [point | {"dose": 1.0, "provenance": "reported"}],
            }
        ],
        "courses": [
            {
                "study": "Trial 1",
                "part": "whole course",
                "arms": {"1 MIU": course},
                "points": [
                    point
                    | {
                        "output": "change of treg_pct",
                        "time": 1.0,
                        "provenance": "unverified",
                        "interval": [1.5, None],
                    }
                ],
            }
        ],
        "visits": [
            {
                "title": "Trial 1, 1 MIU",
                "output": "treg_pct",
                "unit": "percent",
                "time_unit": "d",
                "times": [0.0, 7.0],
                "statistics": [
                    {
                        "name": name,
                        "fitted": [6.0, 9.0],
                        "typical": [6.0, 8.0],
                        "bands": [
                            {"name": "parameters", "low": [5.0, 7.0], "high": [7.0, 9.0]},
                            {"name": "sampling", "low": [4.0, 6.0], "high": [8.0, 10.0]},
                        ],
                        "points": [point | {"time": 7.0, "provenance": "reported"}],
                    }
                    for name in ("mean", "SD")
                ],
            }
        ],
        "model": {
            "equations": "d x = -k*x",
            "text": "model  x <y>",
            "sources": ["a source"],
            "descriptions": {"Emax": "maximal division"},
        },
    }


class Page(HTMLParser):
    """Collects what a page loads, and that its tags are closed."""

    VOID = ("meta", "link", "img", "br", "hr", "input", "rect", "line")

    def __init__(self):
        super().__init__()
        self.addresses, self.open, self.ids = [], [], []

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.addresses += [
            attributes[name] for name in ("src", "href", "srcset", "data") if name in attributes
        ]
        self.ids += [attributes["id"]] if "id" in attributes else []
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag


def parsed(text):
    page = Page()
    page.feed(text)
    assert page.open == []
    return page


def rendered(result, curves=None):
    return report.render(report.document(result, curves))


def files(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_page_loads_nothing_from_outside(result, curves, tmp_path):
    text = report.write_report(result, tmp_path / "out", curves=curves).read_text(encoding="utf-8")
    page = parsed(text)
    assert sum(address.startswith("data:image/svg+xml;base64,") for address in page.addresses) == 7
    assert all(address.startswith(("#", "data:image/svg+xml;base64,")) for address in page.addresses)
    assert not re.search(r"@import|url\(|<script|https?://", text)
    assert {address[1:] for address in page.addresses if address.startswith("#")} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_every_part_that_was_asked_for_is_there(result, curves):
    text = rendered(result, curves)
    for anchor in report.SECTIONS:
        assert f'id="{anchor}"' in text
    for words in (
        "maximal division",
        "lognormal(1.7, 0.4)",
        "1.50",
        "another paper",
        "10.1000/1",
        "1 MIU sc daily x5",
    ):
        assert words in text
    told = (
        "treg_turnover",
        "Trial 1",
        "Emax 1.5 -&gt; 1.9.",
        "and the number lies within.",
        "0.1.0",
        "spread −0.20",
    )
    for words in told:
        assert words in text


def test_what_is_unverified_is_marked_everywhere(result, curves):
    text = rendered(result, curves)
    assert "1 of 3 numbers are unverified" in text
    marks = re.findall(r'<tr class="number unverified".*?</tr>', text, re.DOTALL)
    assert len(marks) == 2
    assert all('class="badge unverified"' in mark for mark in marks)
    assert "unverified</span>" not in re.search(r'id="row-a".*?</tr>', text, re.DOTALL).group()


def test_units_are_written_as_in_the_figures(result, curves):
    text = rendered(result, curves)
    assert "<td>%</td>" in text
    assert "<td>percent</td>" not in text


def test_a_predicted_zero_has_no_digits_of_rounding(result):
    noise = row("a", "Trial 1", predicted=-6e-13, predicted_lower=-7e-13, predicted_upper=-5e-13)
    (shown,) = report.document(dataclasses.replace(result, rows=(noise,)))["rows"]
    assert (shown["predicted"], shown["predicted_interval"]) == (0.0, [0.0, 0.0])
    assert signed(-1e-9) == "0.00"


def test_it_says_that_it_is_a_model(result):
    assert "not medical advice" in rendered(result)


def test_a_fit_that_did_not_converge_says_so_first(result):
    assert "Not converged" not in rendered(result)
    text = rendered(dataclasses.replace(result, converged=False, message="Stopped after 3 iterations."))
    assert text.index("Stopped after 3 iterations.") < text.index('id="verdict"')
    text = rendered(dataclasses.replace(result, converged=False, interrupted=True))
    assert text.index("Interrupted") < text.index('id="verdict"')


def test_text_from_files_is_escaped(result, curves):
    text = rendered(result, curves)
    assert "A made-up fit &lt;b&gt;&amp;" in text
    assert "model  x &lt;y&gt;" in text


def test_absent_parts_leave_no_heading(result):
    text = rendered(dataclasses.replace(result, comparison=None, unverified=None, check=None))
    for anchor in ("comparison", "unverified", "check", "model"):
        assert f'id="{anchor}"' not in text
        assert f'href="#{anchor}"' not in text
    assert not re.search(r"\bnan\b|\bNone\b|\binf\b", text)


def test_the_folder_holds_everything_and_can_be_written_again_from_itself(result, curves, tmp_path):
    page = report.write_report(result, tmp_path / "a" / "out", curves=curves)
    first = files(page.parent)
    assert {"report.html", "result.json", "curves.json", "dose_response.png", "dose_response.svg"} <= set(
        first
    )
    for name in ("result.json", "curves.json"):
        json.loads(first[name], parse_constant=lambda constant: pytest.fail(f"{constant} is no JSON"))
    again, kept = report.read_report(page.parent)
    report.write_report(again, page.parent, curves=kept)
    assert files(page.parent) == first


def test_a_failure_leaves_the_old_report(result, curves, tmp_path, monkeypatch):
    page = report.write_report(result, tmp_path / "out", curves=curves)
    before = files(page.parent)
    monkeypatch.setattr(report, "render", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        report.write_report(dataclasses.replace(result, title="new"), tmp_path / "out", curves=curves)
    assert files(page.parent) == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("older", [False, True])
def test_an_interrupted_report_keeps_the_finished_fit(result, curves, tmp_path, monkeypatch, older):
    from pkpd.present import plot

    folder = tmp_path / "out"
    if older:
        report.write_report(result, folder, curves=curves)
    new = dataclasses.replace(result, title="new")

    def interrupted(*_, **__):
        if not older:
            assert FitResult.read_json(folder / "result.json").title == "new"  # before any picture
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(plot, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            report.write_report(new, folder, curves=curves)
        # nothing of the older report is left beside the new numbers
        assert [item.name for item in folder.iterdir()] == ["result.json"]
        assert report.read_report(folder) == (new, None)
    # writing it again, from itself, loses nothing when it is interrupted
    page = report.write_report(new, folder, curves=curves)
    before = sorted(folder.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(plot, "save", interrupted)
        older = True
        with pytest.raises(KeyboardInterrupt):
            report.write_report(new, folder, curves=curves)
    assert sorted(folder.iterdir()) == before and page.exists()


def test_only_what_is_there_is_named_of_patients_and_sources(result):
    rows = tuple(dataclasses.replace(row, population="", schedule="none", doi="") for row in result.rows)
    shown = report.document(dataclasses.replace(result, rows=rows))
    assert shown["rows"][0]["patients"] == "none; n = 12"
    text = report.render(shown)
    assert "none; , n" not in text and "; ;" not in text and "; </" not in text
    assert all(value for _, value in shown["facts"])


def test_pages_fit_paper_dark_rooms_and_small_screens(result, curves):
    page = report.render(report.document(result, curves))
    style = page[page.index("<style>") : page.index("</style>")]
    on_paper = style[style.index("@media print") :]
    # intervals stand in a size that goes by that of their number
    assert re.search(r"\.soft[^{]*{[^}]*font-size: \.9em", style)
    assert "details::details-content" in on_paper and "summary { display: none" not in on_paper
    assert "white-space: pre-wrap" in on_paper
    assert "invert(1)" in style and "background: #fff" not in style
    tables = re.findall(r'<div class="scroll"[^>]*><table>\n<thead>', page)
    assert len(tables) > 3
    assert page.count('class="sideways"') >= len(tables)
    assert all('tabindex="0"' in table for table in tables)


def test_the_page_shows_and_draws_the_intervals_of_the_result(result, curves):
    shown = report.document(result, curves)
    for estimate, parameter in zip(result.estimates, shown["parameters"], strict=True):
        assert parameter["interval"] == [estimate.lower, estimate.upper]
    for told, one in zip(shown["rows"], result.rows, strict=True):
        assert told["predicted_interval"] == [one.predicted_lower, one.predicted_upper]
    panel = curves["dose_response"][0]
    (given,) = panel["curves"]
    drawn = {each.name: each.figure() for each in report.drawings(shown, curves)}
    axis = drawn["dose_response"].axes[0]
    band = next(item for item in axis.collections if "Poly" in type(item).__name__)
    corners = band.get_paths()[0].vertices
    for dose, low, high in zip(given["dose"], given["low"], given["high"], strict=True):
        ends = corners[corners[:, 0] == dose, 1]
        assert (ends.min(), ends.max()) == pytest.approx((low, high))


def test_figures_are_the_same_whoever_draws_them(result, curves, tmp_path):
    alone, told = tmp_path / "alone", []
    report.write_report(result, alone, curves=curves)
    together = report.write_report(
        result, tmp_path / "two", curves=curves, processes=2, progress=lambda *about: told.append(about)
    ).parent
    names = sorted(path.name for path in alone.iterdir())
    assert names == sorted(path.name for path in together.iterdir())
    for name in names:
        assert (alone / name).read_bytes() == (together / name).read_bytes(), name
    drawn = [each.name for each in report.drawings(report.document(result, curves), curves)]
    assert sorted(remark for what, _, remark in told if what == "figures") == sorted(drawn)
    assert told[-1][:2] == ("figures", 1.0)


def test_what_cannot_be_drawn_is_told_from_another_process_too(result, curves, tmp_path):
    broken = curves | {"courses": [{"study": "S", "part": "whole course", "arms": {}, "points": []}]}
    with pytest.raises(InputError) as alone:
        report.write_report(result, tmp_path / "one", curves=broken)
    with pytest.raises(InputError) as together:
        report.write_report(result, tmp_path / "two", curves=broken, processes=2)
    assert str(alone.value) == str(together.value)


def test_a_folder_with_other_things_is_not_touched(result, curves, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(DataError, match=r"thesis\.tex"):
        report.write_report(result, tmp_path, curves=curves)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file"):
        report.write_report(result, tmp_path / "file", curves=curves)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": 99}', "null", "\x00"])
def test_what_is_no_result_is_refused(text, tmp_path):
    (tmp_path / "result.json").write_text(text)
    with pytest.raises(DataError, match=r"result\.json"):
        report.read_report(tmp_path)


@pytest.mark.parametrize("text", ["", "[]"])
def test_broken_curves_are_refused(text, result, tmp_path):
    result.write_json(tmp_path / "result.json")
    (tmp_path / "curves.json").write_text(text)
    with pytest.raises(DataError, match=r"curves\.json"):
        report.read_report(tmp_path)


def test_the_prior_interval_holds_95_percent_of_the_prior(result):
    shown = report.document(result)["parameters"]
    assert shown[0]["prior_interval"] == pytest.approx(
        [1.7 * math.exp(-0.4 * Z95), 1.7 * math.exp(0.4 * Z95)]
    )
    assert shown[2]["prior_interval"] is None
    assert shown[0]["learned"] == pytest.approx(0.7)


def test_parameters_that_the_data_did_not_move_are_named(result):
    """By neither their SD nor their place."""
    kept = estimate("kept", value=1.75, x=math.log(1.75), x_sd=0.39, shrinkage=0.39 / 0.4)
    moved = dataclasses.replace(kept, name="moved", value=1.7 * math.exp(0.24), x=math.log(1.7) + 0.24)
    narrowed = dataclasses.replace(kept, name="narrowed", x_sd=0.32, shrinkage=0.8)
    result = dataclasses.replace(result, estimates=(kept, moved, narrowed))
    shown = report.document(result)
    assert [parameter["unmoved"] for parameter in shown["parameters"]] == [True, False, False]
    assert "did not move 1 of 3: kept. " in report.render(shown)


def test_residuals_stand_at_their_place_in_time_and_among_all(result):
    """As many normal residuals as there are lie in the band of their place in 95 of 100 sets."""
    generator = np.random.default_rng(1)
    template, inside = result.rows[0], []
    for _ in range(200):
        drawn = generator.standard_normal(12)
        rows = tuple(
            dataclasses.replace(template, id=f"r{k}", residuals=(float(z),), predicted=float(k), time="2..4")
            for k, z in enumerate(drawn)
        )
        shown = report.document(dataclasses.replace(result, rows=rows))["rows"]
        order = sorted(shown, key=lambda each: each["deviation"])
        assert [each["quantile"] for each in order] == sorted(each["quantile"] for each in shown)
        inside += [each["quantile_low"] <= each["deviation"] <= each["quantile_high"] for each in shown]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.02)
    assert [each["rank"] for each in shown] == pytest.approx((np.arange(12) + 0.5) / 12)
    factor = {"d": 1, "h": 1 / 24}[template.time_unit]
    assert shown[0]["days"] == pytest.approx(3 * factor)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0123456, "0.0123"),
        (1234.5, "1,234"),
        (12.345, "12.3"),
        (3.14e-7, "3.14e-07"),
        (-3.14e-7, "−3.14e-07"),
        (-0.5, "−0.500"),
        (0, "0"),
        (2.5e9, "2.50e+09"),
        (math.nan, ""),
        (None, ""),
    ],
)
def test_numbers_keep_three_digits(value, shown):
    assert number(value) == shown
