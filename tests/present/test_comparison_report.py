"""The page of a comparison fetches nothing, obeys nothing that is in a label, defines every number it shows,
and draws what the arms hold."""

import base64
import dataclasses
import math
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from pkpd.core.errors import InputError
from pkpd.decision.comparison import Scene, compare
from pkpd.decision.comparison.result import ComparisonRow
from pkpd.present import plot
from pkpd.present.plot.canvas import COLOURS
from pkpd.present.report.comparison import document, figures, findings, render, write_comparison_report
from pkpd.present.report.numbers import shares

ONE, TWO = "1 MIU sc daily x5", "2 MIU sc daily x5"
COMMAND = "pkpd compare '1 MIU sc daily x5' -o <x>.html"
HOSTILE = '<script>alert("1")</script> & $\\bad{$ "x'


@pytest.fixture(scope="module")
def compared():
    scene = Scene.create(subjects=60, draws=12, seed=4, until_days=33)
    return compare(scene.arms([ONE, "0.2 MIU/m2 sc daily x5 every 14 d x2", "none"], [None, HOSTILE, None]))


@pytest.fixture(scope="module")
def page(compared):
    return render(compared, command=COMMAND)


class Tags(HTMLParser):
    """Start tags with their attributes, and the text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self.style = [], "", False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.style = tag == "style"

    def handle_data(self, data):
        self.text += "" if self.style else data

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def drawings(page):
    return [
        base64.b64decode(text).decode() for text in re.findall(r"data:image/svg\+xml;base64,([\w+/=]+)", page)
    ]


def test_nothing_is_fetched_and_nothing_runs(page):
    tags = Tags(page)
    assert {tag for tag, _ in tags.tags} & {
        "script",
        "link",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
    } == set()
    for tag, attributes in tags.tags:
        for name, value in attributes.items():
            assert not name.startswith("on"), (tag, name)
            if tag == "a" and value.startswith("https://doi.org/10."):
                continue  # a paper, for whoever follows the link
            if name in ("src", "href", "srcset", "data"):
                assert value.startswith(("data:image/svg+xml;base64,", "#")), (tag, value[:60])
    assert not re.search(r"url\(|@import", page)
    for drawing in drawings(page):
        assert not re.search(r"<script|<image|<foreignObject|onload|href=\"(?!#)", drawing)


def test_links_lead_to_parts_of_the_page(page):
    tags = Tags(page)
    ids = [attributes["id"] for _, attributes in tags.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [link for attributes in tags.of("a") if (link := attributes["href"]).startswith("#")]
    assert len([link for link in links if not link.startswith("#behind-")]) == 8
    assert all(link[1:] in ids for link in links)


def test_a_label_is_text_wherever_it_stands(page):
    tags = Tags(page)
    assert HOSTILE in tags.text
    assert COMMAND in tags.text
    assert any(HOSTILE in image["alt"] for image in tags.of("img"))
    drawn = drawings(page)
    assert len(drawn) == 3
    for drawing in drawn:
        assert '&lt;script&gt;alert("1")&lt;/script&gt; &amp; $\\bad{$' in drawing.replace("&quot;", '"')


def test_every_endpoint_is_defined_and_what_must_be_known_is_said(compared, page):
    text = " ".join(Tags(page).text.split())
    assert len(compared.endpoints) > 30
    for endpoint in compared.endpoints:
        assert endpoint.definition in text
        remark = endpoint.remark[:1].upper() + endpoint.remark[1:]
        assert remark in text
    assert "A model, not medical advice." in text
    assert "no treatment should be begun, changed or stopped because of it" in text
    for sentence in compared.reading:
        assert sentence in text
    for arm in compared.arms:
        assert str(arm.schedule) in text
        for warning in arm.warnings:
            assert warning in text
    assert "unverified" in text  # the mark of the study that is nearest
    assert "None" not in text
    assert "nan" not in text.split()


def test_numbers_of_the_page_are_those_of_the_comparison(compared, page):
    groups = dict(document(compared)["groups"])
    shown = {endpoint["name"]: endpoint for members in groups.values() for endpoint in members}
    mean = shown["Treg mean fold"]
    row = compared.row("Treg mean fold", 1)
    assert mean["rows"][1]["median"] == f"{row.median:.2f}"
    assert mean["rows"][1]["interval"] == f"{row.low:.2f} to {row.high:.2f}"
    assert mean["rows"][1]["better"] == shares(row.better, row.same, row.worse)
    assert mean["relevant"].startswith("0.1 (a tenth of baseline")
    assert mean["rows"][0]["difference"] == ""
    assert mean["rows"][2]["interval"] == ""  # 1.00 in all
    assert mean["arrow"] == "↑"
    assert shown["NK mean fold"]["arrow"] == "↓"
    assert shown["Treg trough fold"]["rows"][2]["median"] == ""
    assert "No value with fewer than two doses." in Tags(page).text
    assert shown["adverse event"]["unit"] == "probability"
    days = [arm["when"] for arm in document(compared)["arms"]]
    assert days == [arm.when for arm in compared.arms]
    assert (days[0], days[2]) == ("5 doses on days 0-4", "no dose")


def test_what_lies_beyond_the_horizon_is_counted(compared):
    row = compared.row("Treg days to return", 0)
    late = dataclasses.replace(row, n=40, beyond=20, missing=0, high=math.inf)
    changed = dataclasses.replace(
        compared, rows=tuple(late if item is row else item for item in compared.rows)
    )
    text = Tags(render(changed)).text
    assert "20 of 60 not within the horizon" in text
    assert "∞" in text


def test_findings_tell_what_each_schedule_does(compared):
    said = findings(compared)
    mean = compared.row("Treg mean fold", 1)
    assert [line[0] for line in said] == ["A", "B", "C"]
    assert f"Tregs at {mean.median:.2f} ({mean.low:.2f} to {mean.high:.2f}) times baseline" in said[1]
    assert (
        f"The mean of Tregs is higher than under A by at least 0.1 in {shares(mean.better)} % of subjects, "
        f"lower by as much in {shares(mean.worse)} %, and the same in {shares(mean.same)} %." in said[1]
    )
    assert "higher than under A" not in said[0]
    assert "(1.00 to 1.00)" not in said[2]


def test_a_single_schedule_has_a_page_without_differences():
    found = compare(Scene.create(subjects=8, vary=()).arms([ONE]))
    text = Tags(render(found)).text
    assert "Differences to the first schedule" not in text
    assert "than A" not in text


def test_more_schedules_than_colours_are_in_the_table_and_named_as_not_drawn():
    arms = Scene.create(subjects=8, vary=()).arms([f"{i + 1} MIU sc once" for i in range(9)])
    found = compare(arms).choose(["burden"])
    text = Tags(render(found)).text
    assert "The figures show the first 7 schedules" in text
    assert "Not drawn: H: 8 MIU sc once; I: 9 MIU sc once" in text
    assert [row["letter"] for row in dict(document(found)["groups"])["burden"][0]["rows"]] == list(
        "ABCDEFGHI"
    )


def test_a_page_is_written_whole_or_not_at_all_and_always_the_same(compared, page, tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    assert write_comparison_report(compared, path, command=COMMAND) == path
    assert path.read_text(encoding="utf-8") == page
    with pytest.raises(InputError, match=r"\.html"):
        write_comparison_report(compared, tmp_path / "r.pdf")
    monkeypatch.setattr(plot, "svg", lambda _: 1 / 0)
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError):
        write_comparison_report(compared, path)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["r.html"]


# ---- figures


def test_courses_are_the_arms_bands_with_a_tick_for_each_dose(compared):
    figure = figures(compared)["courses"][1]
    il2, treg = figure.axes[:2]
    medians = [line for line in treg.lines if line.get_gid() == "median"]
    assert len(medians) == 3
    for i, (line, arm) in enumerate(zip(medians, compared.arms, strict=True)):
        np.testing.assert_array_equal(line.get_xdata(), arm.days)
        np.testing.assert_array_equal(line.get_ydata(), arm.bands["treg_pct"][1])
        assert line.get_color() == COLOURS[i]
    assert len({str(line._dash_pattern) for line in medians}) == 3  # told apart without colour
    rugs = [item for item in treg.collections if item.get_gid() == "dose"]
    assert [len(rug.get_segments()) for rug in rugs] == [5, 10, 0]
    assert [segment[0, 0] for segment in rugs[1].get_segments()] == list(compared.arms[1].dose_days)
    assert il2.get_yscale() == "log"
    assert il2.get_xlim()[1] < 8
    assert "assumed, not fitted" in figure.axes[5].get_title(loc="left")
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words[0] == f"A  {ONE}"


def test_differences_are_drawn_in_percent_of_the_first_median_and_told_in_their_own_unit(compared):
    figure = figures(compared)["differences"][1]
    points = [item for item in figure.axes[0].collections if item.get_gid() == "difference"]
    expected = [
        100 * row.difference / abs(compared.row(row.endpoint.name, 0).median)
        for row in compared.main().rows
        if row.arm != compared.arms[0].label and not math.isnan(row.difference)
    ]
    limit = figure.axes[0].get_xlim()[1]
    drawn = [float(point.get_offsets()[0, 0]) for point in points]
    np.testing.assert_allclose(drawn, np.clip(expected, -limit, limit), rtol=0.05)
    words = [text.get_text() for text in figure.axes[0].texts]
    row = compared.row("AUC", 2)
    assert f"−{abs(row.difference):,.0f}" in " ".join(words)
    assert sum(bool(re.fullmatch(r"[<>]?\d+/[<>]?\d+/[<>]?\d+", word)) for word in words) >= 20


def test_a_trade_off_lies_where_gain_and_cost_are(compared):
    figure = figures(compared)["trade_off"][1]
    for axis, name, factor in zip(
        figure.axes, ("adverse event", "NK mean fold", "injections per 28 days"), (100, 1, 1), strict=True
    ):
        points = [item for item in axis.collections if item.get_gid() == "schedule"]
        for i, point in enumerate(points):
            x, y = point.get_offsets()[0]
            assert x == pytest.approx(factor * compared.row(name, i).median)
            assert y == pytest.approx(100 * (compared.row("Treg mean fold", i).median - 1))
        assert len({tuple(map(tuple, point.get_paths()[0].vertices[:3])) for point in points}) == 3
        assert axis.get_xlim()[0] < 0 < axis.get_xlim()[1]  # from nought, and what lies there is whole


def test_every_dose_of_a_year_has_its_peak_in_the_figure():
    doses = np.arange(0.0, 365.0)
    days = np.sort(np.concatenate([doses + after for after in (0.0, 0.1, 0.15, 0.2, 0.4, 0.99)]))
    median = np.where(np.isclose(days % 1, 0.15), 9.0 + np.sin(days), 1.0)
    arm = {
        "letter": "A",
        "label": "daily",
        "days": days,
        "bands": {"il2": np.array([median] * 3)},
        "dose_days": doses,
    }
    figure = plot.courses_figure([arm], [{"output": "il2", "title": "IL-2", "unit": "IU/mL"}])
    (line,) = (line for line in figure.axes[0].lines if line.get_gid() == "median")
    x, y = line.get_data()
    assert x.size < 0.6 * days.size
    peaks = [y[(x >= dose) & (x < dose + 1)].max(initial=0.0) for dose in doses]
    np.testing.assert_allclose(peaks, 9.0 + np.sin(doses + 0.15), atol=0.1)


def test_what_cannot_be_drawn_is_said():
    for draw in (
        lambda: plot.courses_figure([], []),
        lambda: plot.differences_figure([]),
        lambda: plot.trade_off_figure([], [], {}),
    ):
        with pytest.raises(InputError, match="there is no"):
            draw()


def test_differences_to_nought_and_beyond_the_scale_are_drawn_as_such(compared):
    endpoint = compared.row("total dose").endpoint

    def one(arm, median, difference):
        numbers = {
            "pairs": 60,
            "difference": difference,
            "difference_low": difference,
            "difference_high": difference,
        }
        return ComparisonRow(
            endpoint,
            arm,
            "subjects",
            60,
            0,
            0,
            median,
            median,
            median,
            **numbers if difference is not None else {},
        )

    labels = [arm.label for arm in compared.arms]
    for base, text, gid in ((0.0, " no share of nought", 0), (1.0, None, 1)):
        rows = (one(labels[0], base, None), one(labels[1], base + 50, 50.0))
        found = dataclasses.replace(compared, rows=rows)
        figure = figures(found)["differences"][1]
        assert sum(item.get_gid() == "difference" for item in figure.axes[0].collections) == gid
        assert (text in [item.get_text() for item in figure.axes[0].texts]) == (text is not None)
        if text is None:
            assert figure.axes[0].get_xlim()[1] < 250  # 5,000 % end at the edge
