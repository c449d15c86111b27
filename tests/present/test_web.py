"""The server of `pkpd explore` says what the command line says, gives nothing of the machine away, and is
never held up by one request."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pkpd.cli import main
from pkpd.core import library
from pkpd.core.errors import InputError, PkpdError
from pkpd.decision.comparison import Scene, horizon
from pkpd.decision.comparison.simulation import Simulation
from pkpd.dosing import Schedule
from pkpd.dosing.rules import read_plan
from pkpd.present.outline import MOST
from pkpd.present.web import Site, answer, evaluation, pace, server
from pkpd.present.web.cards import cycle_of, taking_of
from pkpd.present.web.detail import detail
from pkpd.present.web.evaluation import Explorer, FieldError, Limits
from pkpd.present.web.server import FILES, KINDS
from pkpd.present.web.turns import Turns
from pkpd.present.web.views import ANSWERS

ONE, TWO = "1 MIU sc daily x5 every 28 d x3", "2 MIU sc daily x5 every 28 d x3"
LONG = {"schedules": [f"{dose} MIU sc daily x400" for dose in (1, 2, 3, 4)], "subjects": 1000, "days": 400}
"""Some twenty seconds on two cores."""
SMALL = {"schedules": [ONE], "subjects": 20, "days": 61}


@contextmanager
def served(**options):
    """A site on a free port, in a thread."""
    site = Site(subjects=20, **options)
    thread = threading.Thread(target=site.run)
    thread.start()
    try:
        yield site
    finally:
        site.stop()
        thread.join(30)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def site():
    with served() as site:
        yield site


def ask(site, path="/api/compare", body=None, method=None, headers=None, timeout=60.0):
    """(status, headers, content) of a request; the path goes out as it is."""
    port = int(re.search(r":(\d+)/$", site.url)[1])
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        given = {"content-type": "application/json"} if body is not None else {}
        connection.request(method or ("GET" if body is None else "POST"), path, body, given | (headers or {}))
        response = connection.getresponse()
        return response.status, response.headers, response.read()
    finally:
        connection.close()


def refused(site, body, status, **options):
    """The sentence with which a request is refused; it is plain text without a trace of the program's
    inside."""
    got, _, content = ask(site, body=body, **options)
    assert got == status, content
    told = json.loads(content)
    assert "Traceback" not in told["error"] and ".py" not in told["error"]
    return told


# --- answers --------------------------------------------------------------------------------------


def test_an_answer_holds_curves_with_bands_doses_and_the_table(site):
    status, headers, content = ask(site, body=SMALL | {"schedules": [ONE, TWO]})
    told = json.loads(content)
    assert status == 200 and headers["content-type"] == "application/json"
    assert [arm["text"] for arm in told["arms"]] == [ONE, TWO]
    for name, curve in told["arms"][0]["curves"].items():
        low, median, high = (np.array(curve[key]) for key in ("low", "median", "high"))
        assert 20 < len(curve["days"]) <= MOST and curve["days"][0] == 0.0, name
        assert np.all(low <= median) and np.all(median <= high), name
    assert told["arms"][0]["doses"] == [28 * cycle + day for cycle in range(3) for day in range(5)]
    assert (told["days"], told["subjects"]) == (61, 20)
    assert all(len(row["arms"]) == 2 for row in told["endpoints"])
    assert told["endpoints"][0]["arms"][0]["difference"] is None


def test_only_the_changed_schedule_is_computed_and_sent(site, monkeypatch):
    explorer = Explorer(subjects=20)
    computed = []
    compute = evaluation.Scene.arm
    monkeypatch.setattr(
        evaluation.Scene,
        "arm",
        lambda self, schedule, *args, **kw: (
            computed.append(str(schedule)) or compute(self, schedule, *args, **kw)
        ),
    )
    first = explorer.evaluate(SMALL | {"schedules": [ONE, TWO]})
    keys = [arm["key"] for arm in first["arms"]]
    third = TWO.replace("2 MIU", "3 MIU")
    second = explorer.evaluate(SMALL | {"schedules": [ONE, third], "have": keys})
    assert sorted(computed) == [ONE, TWO, third]
    assert "curves" not in second["arms"][0] and "curves" in second["arms"][1]
    explorer.evaluate(SMALL | {"schedules": [ONE, TWO], "bsa": 1.5})
    assert len(computed) == 5  # another body size is another question


SHARED = {"subjects": 20, "days": 61}
PAIR = SHARED | {"schedules": [ONE, TWO]}


@pytest.fixture
def computed(monkeypatch):
    """The schedules that are computed, as texts, in the order in which they begin."""
    found = []
    compute = evaluation.Scene.arm
    monkeypatch.setattr(
        evaluation.Scene,
        "arm",
        lambda self, schedule, *args, **kw: (
            found.append(str(schedule)) or compute(self, schedule, *args, **kw)
        ),
    )
    return found


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"schedules": [ONE, "3 MIU sc daily x5 every 28 d x3"]}, ["3 MIU sc daily x5 every 28 d x3"]),
        ({"schedules": [ONE, "2 MIU sc daily x5 every 28 d x2"]}, ["2 MIU sc daily x5 every 28 d x2"]),
        ({"schedules": [ONE, "2 MIU sc daily x4 every 28 d x3"]}, ["2 MIU sc daily x4 every 28 d x3"]),
        ({"schedules": [ONE, "2 MIU sc daily x5 every 21 d x3"]}, ["2 MIU sc daily x5 every 21 d x3"]),
        ({"schedules": [TWO]}, []),  # what was B is A, in its colour
        ({"schedules": [TWO, ONE]}, []),
        ({"schedules": [ONE, TWO, TWO, ONE]}, []),
        ({"schedules": [ONE, "2.0  MIU sc  daily x5 every 28 d x3"]}, []),  # written otherwise
        ({"show": []}, []),
        ({"bsa": 1.5}, [ONE, TWO]),  # other subjects, another horizon: another question
        ({"responders": "high"}, [ONE, TWO]),
        ({"subjects": 24}, [ONE, TWO]),
        ({"days": 62}, [ONE, TWO]),
        ({"bsa": 1.5, "schedules": [ONE, ONE, TWO, ONE]}, [ONE, TWO]),  # each once
    ],
)
def test_an_arm_that_did_not_change_is_not_computed_again_by_any_control(computed, change, again):
    explorer = Explorer(subjects=20)
    explorer.evaluate(PAIR)
    computed.clear()
    moved = explorer.evaluate(PAIR | change)
    assert sorted(computed) == sorted(again)
    computed.clear()
    explorer.evaluate(PAIR)  # back, and nothing is computed
    explorer.evaluate(PAIR | change)
    assert computed == []
    assert len({arm["key"] for arm in moved["arms"]}) == len({arm["text"] for arm in moved["arms"]})


def test_the_horizon_that_follows_the_schedules_keeps_arms_while_it_stands(computed):
    explorer = Explorer(subjects=20)
    asked = {"subjects": 20, "days": None}
    explorer.evaluate(asked | {"schedules": [ONE, "1 MIU sc daily x5"]})
    explorer.evaluate(asked | {"schedules": [ONE, "1 MIU sc daily x4"]})  # the longest is the same
    assert sorted(computed) == sorted([ONE, "1 MIU sc daily x5", "1 MIU sc daily x4"])
    explorer.evaluate(asked | {"schedules": [ONE, "1 MIU sc daily x4"], "days": 112})  # the same, asked for
    assert len(computed) == 3


# --- previews -------------------------------------------------------------------------------------


@pytest.fixture
def hurried(monkeypatch):
    """No time for all subjects: whatever is computed is previewed from the fewest."""
    monkeypatch.setattr(pace, "FIRST_PICTURE_S", 0.0)


def timed(subjects):
    explorer = Explorer(subjects=subjects)
    explorer.prepare()
    return explorer


def without_time(told):
    return {key: value for key, value in told.items() if key != "seconds"}


def test_a_preview_is_of_the_first_subjects_and_the_final_answer_is_what_it_is_without(hurried):
    asked = {"schedules": [ONE, TWO], "days": 61, "bsa": 1.6}
    explorer = timed(60)
    preview = explorer.evaluate(asked | {"preview": True})
    assert (preview["subjects"], preview["of"]) == (8, 60)
    final = explorer.evaluate(asked)
    assert (final["subjects"], final["of"]) == (60, 60)
    assert without_time(final) == without_time(Explorer(subjects=60).evaluate(asked))
    again = explorer.evaluate(asked | {"preview": True})  # all is there: no preview
    assert without_time(again) == without_time(final)
    assert preview["command"] == final["command"] and "--subjects 60" in preview["command"]
    assert not {arm["key"] for arm in preview["arms"]} & {arm["key"] for arm in final["arms"]}

    def middle(values):
        return np.quantile(values, 0.5, method="inverted_cdf")

    scene = Scene.create("low_dose_il2", subjects=60, covariates={"BSA": 1.6}, until_days=61)
    first, second = scene.arms([ONE, TWO])
    for told, n in ((preview, 8), (final, 60)):
        rows = {(row["name"], row["unit"]): row["arms"] for row in told["endpoints"]}
        for endpoint, values in second.endpoints.items():
            if (endpoint.name, endpoint.unit) not in rows or not np.isfinite(values[:n]).all():
                continue
            if "probability" in endpoint.name:  # of an adverse event: draws of all subjects together
                continue
            found = rows[endpoint.name, endpoint.unit][1]
            assert found["median"] == pytest.approx(middle(values[:n]), rel=1e-4, abs=1e-12)
            apart = values[:n] - first.endpoints[endpoint][:n]
            assert found["difference"]["median"] == pytest.approx(middle(apart), rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("moved", [0, 1, 2])
def test_in_a_preview_arms_that_did_not_move_stay_what_they_are(hurried, computed, moved):
    asked = {"schedules": [ONE, TWO, "0.5 MIU sc every 3 d x20"], "days": 61}
    explorer = timed(60)
    before = explorer.evaluate(asked)
    computed.clear()
    schedules = list(asked["schedules"])
    schedules[moved] = "1.7 MIU sc daily x5 every 28 d x3"
    keys = [arm["key"] for arm in before["arms"]]
    preview = explorer.evaluate(asked | {"schedules": schedules, "have": keys, "preview": True})
    assert computed == [schedules[moved]] and preview["subjects"] == 8
    assert ["curves" in arm for arm in preview["arms"]] == [place == moved for place in range(3)]
    own = ("median", "low", "high", "parameters", "missing", "beyond")
    apart = ("difference", "probability", "same", "worse")
    known = {(row["name"], row["unit"]): row["arms"] for row in before["endpoints"]}
    differ = 0
    for row in preview["endpoints"]:
        for place in {0, 1, 2} - {moved}:
            now, then = row["arms"][place], known[row["name"], row["unit"]][place]
            assert {key: now[key] for key in own} == {key: then[key] for key in own}, row["name"]
            if moved != 0:
                assert {key: now[key] for key in apart} == {key: then[key] for key in apart}, row["name"]
            elif place:
                differ += now["difference"] != then["difference"]
    assert moved or differ > 10
    final = explorer.evaluate(asked | {"schedules": schedules})
    plain = Explorer(subjects=60).evaluate(asked | {"schedules": schedules})
    assert without_time(final) == without_time(plain)


def test_what_there_is_time_for_has_no_preview(monkeypatch):
    monkeypatch.setattr(pace, "FIRST_PICTURE_S", 1e6)
    assert timed(60).evaluate(PAIR | {"subjects": 60, "preview": True})["subjects"] == 60


def test_a_computation_that_nobody_waits_for_ends_between_chunks(monkeypatch):
    """However many chunks are left: of those that run when the page goes, each is followed by one at most."""
    begun, gate = [], threading.Event()
    run = Simulation.run

    def held(self, first, end):
        begun.append((first, end))
        gate.wait(30)
        run(self, first, end)

    with served(limits=Limits(at_once=1, patience_s=60.0)) as site:
        monkeypatch.setattr(Simulation, "run", held)
        port = int(re.search(r":(\d+)/$", site.url)[1])
        body = json.dumps(LONG | {"preview": False}).encode()
        head = (
            f"POST /api/compare HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: "
            f"application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + body)
            while not begun:
                time.sleep(0.02)
            time.sleep(1.0)  # until every thread holds one
        time.sleep(2.0)  # the server hears that the page has gone, beside whatever else the machine does
        running = len(begun)
        gate.set()
        assert ask(site, body=SMALL)[0] == 200  # the only place is free: it has ended
        ended = [chunk for chunk in begun if chunk != (0, 20) and chunk[1] > 20]
        assert 0 < running < 20 and len(ended) <= 2 * running
        assert max(end - first for first, end in ended) <= pace.CHUNKS[1]


def test_published_points_belong_to_schedules_with_the_same_doses_by_then(site):
    told = json.loads(ask(site, body=SMALL | {"schedules": [ONE, "none", "1 MIU sc daily x4"]})[2])
    belonging = [set(arm["points"]) for arm in told["arms"]]
    assert {"imodals_d8_1miu", "hartemann_d6_1miu"} <= belonging[0]  # the first cycle is Hartemann's course
    assert {"imodals_d8_placebo", "hartemann_d6_placebo"} <= belonging[1]
    assert not belonging[2]
    points = {point["row"]: point for point in json.loads(ask(site, "/api/start")[2])["points"]}
    assert points["imodals_d8_1miu"]["provenance"] == "unverified"
    assert points["imodals_d8_1miu"]["from"] == 7.0
    assert not any("dac" in point["schedule"] for point in points.values())


@pytest.mark.parametrize(
    "text",
    [
        "1 MIU sc dayly x5",
        "",
        "-1 MIU sc once",
        "nan MIU sc once",
        "1e9 MIU sc once",
        "1 MIU sc daily x1000000",
        "1 MIU sc every 0 d x3",
        "1 MIU sc daily x5 every 3 d x2",
        "<script>alert(1)</script>",
        "1 MIU sc once and",
        "1 MIU sc daily x5; hold if nk > 2 x",
    ],
)
def test_a_wrong_schedule_gets_the_sentence_of_the_command_line(site, text):
    with pytest.raises(PkpdError) as stated:
        read_plan(text)
    told = refused(site, SMALL | {"schedules": [ONE, text]}, 422)
    assert told == {"error": str(stated.value), "field": "schedules", "index": 1}


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"schedules": ["1 MIU im once"]}, "schedules", 'no route "im"'),
        ({"schedules": ["1 mmol sc once"]}, "schedules", "mmol"),
        ({"schedules": [f"{ONE}; hold if eosinophils > 3 x baseline"]}, "schedules", "eosinophils"),
        ({"schedules": ["1 MIU sc every 1 h x4001"]}, "schedules", "4001 doses"),
        ({"schedules": []}, "schedules", "between one and 4"),
        ({"schedules": [ONE] * 5}, "schedules", "between one and 4"),
        ({"schedules": ONE}, "schedules", "between one and 4"),
        ({"schedules": [7]}, "schedules", "a text"),
        ({"bsa": 0}, "bsa", "between 0.5 and 3"),
        ({"bsa": "1.8"}, "bsa", "must be a number"),
        ({"bsa": float("nan")}, "bsa", "must be a number"),
        ({"bsa": float("inf")}, "bsa", "between"),
        ({"bsa": None}, "bsa", "must be a number"),
        ({"subjects": 1001}, "subjects", "between 10 and 1000"),
        ({"subjects": 10**400}, "subjects", "between 10 and 1000"),
        ({"subjects": 20.5}, "subjects", "whole number"),
        ({"subjects": True}, "subjects", "must be a number"),
        ({"days": 36500}, "days", "between 1 and 1096"),
        ({"days": -1}, "days", "between 1 and 1096"),
        ({"days": 60}, "schedules", "its last dose, on day 60, is not before the horizon of 60 days"),
        ({"schedules": ["1 MIU sc weekly x200"], "days": None}, "schedules", "needs 1,428 days"),
        ({"responders": "best"}, "responders", "all, low, moderate, high"),
        ({"have": "all"}, "have", "list"),
        ({"preview": 1}, "preview", "true or false"),
        ({"fit": "/etc/passwd"}, "fit", 'no "fit"'),
    ],
)
def test_a_wrong_value_is_named_with_its_field(site, change, field, says):
    told = refused(site, SMALL | change, 422)
    assert told["field"] == field and says in told["error"]


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"schedules": ["1 MIU sc dayly x5"]}, "schedules", "dayly"),
        ({"schedules": ["1 MIU im once"]}, "schedules", 'no route "im"'),
        ({"schedules": [ONE] * 5}, "schedules", "between one and 4"),
        ({"bsa": 0}, "bsa", "between 0.5 and 3"),
        ({"subjects": 1001}, "subjects", "between 10 and 1000"),
        ({"days": 36500}, "days", "between 1 and 1096"),
        ({"days": 60}, "schedules", "is not before the horizon of 60 days"),
        ({"responders": "best"}, "responders", "all, low, moderate, high"),
        ({"show": ["all"]}, "show", "all"),
        ({"fit": "/etc/passwd"}, "fit", 'no "fit"'),
    ],
)
def test_every_view_refuses_what_is_wrong_the_same_way(site, name, change, field, says):
    told = refused(site, SMALL | change, 422, path=f"/api/{name}")
    assert told["field"] == field and says in told["error"]
    assert ask(site, f"/api/{name}", method="GET")[0] == 405
    assert ask(site, f"/api/{name}", body=b"{}", headers={"content-type": "text/plain"})[0] == 415


@pytest.mark.parametrize(
    ("text", "cycle"),
    [
        (ONE, (1.0, "MIU", 5, 28, 3)),
        ("0.26 MIU/m2 sc every 3 d for 84 d", (0.26, "MIU/m2", 1, 3, 28)),
        ("1 MIU sc daily x5", (1.0, "MIU", 5, None, 1)),
        ("1.5 MIU sc once", (1.5, "MIU", 1, None, 1)),
        ("1 MIU sc once every 28 d x3", (1.0, "MIU", 1, 28, 3)),
        ("none", None),
        ("1 MIU sc daily x5 then weekly x7", None),
        ("1 MIU sc every 12 h x3", None),
        ("1 MIU sc every 2 d x3 every 7 d x9", None),
        ("1 MIU sc daily x5 from day 1", None),
        ("1 MIU iv over 2 h daily x5", None),
        (f"{ONE}; hold if nk > 3 x baseline", None),
        (f"{ONE}; miss day 29; adherence 90 %", (1.0, "MIU", 5, 28, 3)),
    ],
)
def test_sliders_follow_texts_that_are_cycles_of_daily_doses(text, cycle):
    found = cycle_of(read_plan(text))
    keys = ("dose", "unit", "days", "interval", "cycles")
    assert (found and tuple(found[key] for key in keys)) == cycle


PLANNED = dict.fromkeys(("miss", "double", "delay", "by", "adherence", "jitter"), "")


@pytest.mark.parametrize(
    ("clauses", "taking"),
    [
        ("", {}),
        ("; miss days 28-30, 57", {"miss": "28-30, 57"}),
        (
            "; delay days 29, 31-32 by 6 h; miss day 28; double day 30",
            {"miss": "28", "double": "30", "delay": "29, 31-32", "by": "6"},
        ),
        ("; adherence 87.5 %; jitter 90 min", {"adherence": "87.5", "jitter": "1.5"}),
        ("; delay day 29 by 6 h; delay day 30 by 2 h", None),
        ("; jitter 20 min", None),
        ("; hold if nk > 3 x baseline", None),
    ],
)
def test_fields_of_doses_as_they_are_taken_follow_the_text(clauses, taking):
    assert taking_of(read_plan(ONE + clauses)) == (None if taking is None else PLANNED | taking)


def test_the_horizon_is_that_of_the_command_line_unless_it_is_asked_for():
    explorer = Explorer(subjects=20)
    asked = {"schedules": ["1 MIU sc daily x5", TWO], "subjects": 20}
    assert explorer.evaluate(asked)["days"] == horizon(map(Schedule.parse, asked["schedules"])) == 112
    told = explorer.evaluate(asked | {"days": 90.5})
    assert told["days"] == 90.5 and '--until "90.5 d"' in told["command"]


@pytest.mark.parametrize(
    "asked",
    [
        {"schedules": [ONE, TWO, "0.26 MIU/m2 sc every 3 d x28", "none"], "subjects": 40},
        {"schedules": ["1.5 MIU sc daily x5 then weekly x7", ONE], "bsa": 1.234567, "responders": "low"}
        | {"subjects": 33, "days": 97.25},
        {"schedules": [ONE, f"{TWO}; hold if nk > 3 x baseline; look before each cycle"], "subjects": 40},
    ],
)
def test_the_command_line_gives_the_same_numbers(asked, tmp_path):
    told = Explorer(subjects=20).evaluate(asked)
    program, *arguments = shlex.split(told["command"])
    assert program == "pkpd"
    with pytest.raises(SystemExit) as end:
        main([*arguments, "--quiet", "-o", str(tmp_path / "same.json")])
    assert not end.value.code
    same = json.loads((tmp_path / "same.json").read_text())
    assert [arm["schedule"] for arm in same["arms"]] == [arm["text"] for arm in told["arms"]]
    assert [arm["warnings"] for arm in same["arms"]] == [arm["warnings"] for arm in told["arms"]]
    assert len(same["warnings"]) == len(told["notices"])
    assert all(
        written.endswith(notice["sentence"])
        for written, notice in zip(same["warnings"], told["notices"], strict=True)
    )
    for written, arm in zip(same["arms"], told["arms"], strict=True):
        lights = {name: one["light"] for one in arm["standings"] for name in one["endpoints"]}
        assert {
            row["endpoint"]: row["light"] for row in written["rows"] if row["light"] != "counted"
        } == lights

    def digits(value):
        return float(f"{value:.5g}") if isinstance(value, float) else value

    for i, arm in enumerate(same["arms"]):
        assert len(arm["rows"]) == len(told["endpoints"]) > 20
        for row, endpoint in zip(arm["rows"], told["endpoints"], strict=True):
            found = endpoint["arms"][i]
            difference = found["difference"] or {"median": None, "low": None, "high": None}
            assert (row["endpoint"], row["unit"]) == (endpoint["name"], endpoint["unit"])
            for name, value in [
                ("median", found["median"]),
                ("low", found["low"]),
                ("high", found["high"]),
                ("difference", difference["median"]),
                ("difference_low", difference["low"]),
                ("difference_high", difference["high"]),
                ("better", found["probability"]),
                ("same", found["same"]),
                ("worse", found["worse"]),
                ("missing", found["missing"]),
                ("beyond", found["beyond"]),
            ]:
                assert digits(row[name]) == value, (row["endpoint"], name)


@given(st.lists(st.floats(1e-12, 1e12) | st.just(0.0) | st.floats(-1e6, -1e-6), min_size=1))
def test_curves_have_five_digits_and_no_more(values):
    found = answer._five_digits(np.array([values]))[0]
    assert found == pytest.approx(values, rel=0.50001e-4, abs=0)
    assert all(float(f"{value:.5g}") == value for value in found)


def test_curves_without_a_value_say_so():
    assert answer._five_digits(np.array([[1.23456, np.nan, np.inf]])) == [[1.2346, None, "inf"]]


# --- what a request may not do


def test_every_page_of_the_list_is_served_with_headers_that_keep_it_at_home(site):
    for path, (_, kind) in FILES.items():
        status, headers, content = ask(site, path)
        assert (status, headers["content-type"]) == (200, kind) and content
        assert "default-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff" and headers["x-frame-options"] == "DENY"
        assert "set-cookie" not in headers and "server" not in headers
        assert not re.search(rb"""(src|href|url\(|from|import)\s*["'(=]+\s*(https?:)?//""", content), path


def test_what_others_wrote_is_what_its_readme_says_and_comes_with_its_licences():
    folder = Path(evaluation.__file__).parent / "static" / "vendor"
    readme, licences = (folder / "README.md").read_text(), (folder / "LICENSE.txt").read_text()
    for file in folder.glob("*.js"):
        assert f"`{file.name}`" in readme and file.name in licences
        assert hashlib.sha256(file.read_bytes()).hexdigest() in readme, f"{file.name} was changed"
    packages = re.findall(r"^\| (d3-[a-z]+) \| ([0-9.]+) \|$", readme, re.M)
    assert len(packages) > 10 and all(f"{name} {version} " in licences for name, version in packages)
    assert "Permission to use, copy, modify" in licences and "Mike Bostock" in licences
    assert "npx esbuild" in readme


def test_a_piece_of_time_is_as_fine_as_it_was_computed():
    asked = {"schedules": ["1 MIU sc daily x5 every 28 d x13"], "subjects": 20, "days": 365}
    explorer = Explorer(subjects=20)
    scene = Scene.create("low_dose_il2", subjects=20, seed=1, covariates={"BSA": 1.73}, until_days=365)
    arm = scene.arm(asked["schedules"][0])
    inside = (arm.days >= 28) & (arm.days <= 34)
    coarse = explorer.evaluate(asked)["arms"][0]["curves"]["il2"]
    told = detail(explorer, asked | {"from": 28, "to": 34, "outputs": ["il2"]}, lambda: None)
    fine = told["curves"][0]["il2"]
    assert fine["days"][0] <= 28 and fine["days"][-1] >= 34

    def off(curve):
        return max(
            np.abs(
                np.interp(arm.days[inside], curve["days"], curve[line]) - arm.bands["il2"][k, inside]
            ).max()
            for k, line in enumerate(("low", "median", "high"))
        )

    assert off(fine) < 0.011 * np.ptp(arm.bands["il2"][:, inside]) < off(coarse)
    explorer.fine(explorer.check(asked), lambda: None)
    explorer._fine, kept = evaluation._Recent(1), explorer._fine
    again = detail(explorer, asked | {"from": 28, "to": 34, "outputs": ["il2"]}, lambda: None)
    assert again["curves"] == told["curves"] and kept is not explorer._fine  # computed again


@pytest.mark.parametrize(
    ("change", "field", "says"),
    [
        ({"from": -1}, "from", "between 0 and 61"),
        ({"to": 62}, "to", "between 0 and 61"),
        ({"from": 5, "to": 5}, "to", "must come after the first"),
        ({"from": "1"}, "from", "must be a number"),
        ({"outputs": ["il2", "secret"]}, "outputs", "among"),
        ({"outputs": "il2"}, "outputs", "among"),
        ({"outputs": [["il2"]]}, "outputs", "among"),
    ],
)
def test_a_wrong_piece_of_time_is_named_with_its_field(site, change, field, says):
    told = refused(site, SMALL | change, 422, path="/api/detail")
    assert told["field"] == field and says in told["error"]


def test_every_static_file_is_in_the_list_and_nothing_else():
    folder = Path(evaluation.__file__).parent / "static"
    lying = [path for path in folder.rglob("*") if path.suffix in KINDS]
    assert sorted(FILES) == sorted(
        "/" if path.name == "index.html" else f"/{path.relative_to(folder).as_posix()}" for path in lying
    )
    assert {"/", "/app.js", "/style.css", "/icon.svg", "/views/courses.js"} <= set(FILES)


@pytest.mark.parametrize(
    "path",
    [
        "/server.py",
        "/../server.py",
        "/static/../../server.py",
        "/%2e%2e/server.py",
        "/..%2fserver.py",
        "/%2e%2e%2f%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/app.js/../../server.py",
        "//etc/passwd",
        "/etc/passwd",
        "/..%5c..%5cserver.py",
        "/app.js%00.py",
        "/static/",
        "/index.html",
        "/views",
        "/views/",
        "/api",
        "/api/compare/",
        "/%",
        "/?../../server.py/../x",
    ],
)
def test_no_other_path_exists(site, path):
    status, _, content = ask(site, path)
    if path.startswith("/?"):
        assert content == ask(site, "/")[2]  # what stands behind the question mark is nobody's business
    else:
        assert status in (400, 404)
        assert b"root:" not in content and b"import" not in content


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "OPTIONS"])
def test_other_methods_are_refused(site, method):
    assert ask(site, "/api/compare", method=method)[0] in (400, 405)
    assert ask(site, "/api/compare", method="GET")[0] == 405
    assert ask(site, "/", body={}, method="POST")[0] == 405


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "localhost.evil.example:80"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_other_hosts_and_their_pages_are_turned_away(site, headers):
    assert ask(site, "/", headers=headers)[0] == 403
    assert ask(site, body=SMALL, headers=headers)[0] == 403


def test_names_of_this_machine_are_answered(site):
    port = re.search(r":(\d+)/$", site.url)[1]
    for name in ("127.0.0.1", "localhost", "[::1]"):
        assert ask(site, "/", headers={"Host": f"{name}:{port}"})[0] == 200
    assert ask(site, body=SMALL, headers={"Origin": site.url.rstrip("/")})[0] == 200


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"schedules": ["' + b"x" * 40_000 + b'"]}', {}, 413),
        (b"[" * 10_000, {}, 400),
        (b"{", {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"1" * 10_000, {}, 400),
        (b"[]", {}, 422),
        (b'{"\\ud800": 1}', {}, 422),  # half a surrogate pair: JSON, but nothing that UTF-8 could say back
        (b"{}", {"content-type": "text/plain"}, 415),
    ],
)
def test_a_body_that_is_no_request_is_refused(site, body, headers, status):
    refused(site, body, status, headers=headers)


def test_an_error_of_ours_is_a_sentence_and_the_server_goes_on(site, monkeypatch, caplog):
    def broken(*_):
        raise RuntimeError("secret of the inside")

    monkeypatch.setattr(Explorer, "evaluate", broken)
    told = refused(site, SMALL, 500)
    assert "secret" not in told["error"] and "secret" in caplog.text
    monkeypatch.undo()
    assert ask(site, body=SMALL)[0] == 200


def test_where_the_fit_lies_is_told_to_nobody(tmp_path, monkeypatch, caplog):
    folder = tmp_path / "secret place" / "my_fit"
    shutil.copytree(library.fit_result("low_dose_il2").parent, folder)
    with served(fit=str(folder)) as site:
        answers = [ask(site, "/api/start"), ask(site, body=SMALL)]
        assert [status for status, _, _ in answers] == [200, 200]
        (folder / "data.csv").write_text("nothing")
        answers.append(ask(site, body=SMALL | {"subjects": 30}))  # the fit is read again
        assert answers[-1][0] == 422 and "start it again" in json.loads(answers[-1][2])["error"]
        assert all(b"secret" not in content for _, _, content in answers)
    assert "data.csv" in caplog.text  # the terminal is told


# --- slow requests --------------------------------------------------------------------------------


def test_a_slow_request_holds_nobody_up_and_ends_at_its_time():
    with served(limits=Limits(seconds=2.0, at_once=2)) as site, ThreadPoolExecutor(1) as pool:
        ask(site, body=SMALL)
        started = time.monotonic()
        slow = pool.submit(ask, site, body=LONG)
        time.sleep(0.3)
        assert ask(site, "/")[0] == 200
        assert ask(site, body=SMALL | {"schedules": [TWO]})[0] == 200
        assert not slow.done()
        status, _, content = slow.result()
        assert status == 503 and "fewer subjects" in json.loads(content)["error"]
        assert time.monotonic() - started < 10.0


def test_who_finds_no_place_waits_before_it_is_told_so_and_what_is_given_up_ends():
    with served(limits=Limits(seconds=60.0, at_once=1, patience_s=2.0)) as site:
        port = int(re.search(r":(\d+)/$", site.url)[1])
        body = json.dumps(LONG).encode()
        head = (
            f"POST /api/compare HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: "
            f"application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head.encode() + body)
            time.sleep(0.5)
            started = time.monotonic()
            assert "busy with other pages for 2 s" in refused(site, SMALL, 503)["error"]
            assert time.monotonic() - started >= 2.0
            assert (
                ask(site, body=SMALL | {"preview": True})[0] == 200
            )  # first pictures have places of their own
        started = time.monotonic()  # the page has gone: its computation ends at the next chunk
        while ask(site, body=SMALL)[0] == 503:
            assert time.monotonic() - started < 20


def test_many_pages_at_once_are_all_answered():
    """At one place of each kind; a queue that is full is none of theirs."""
    with served(limits=Limits(at_once=1, patience_s=60.0)) as site, ThreadPoolExecutor(50) as pool:
        asked = [SMALL | {"schedules": [f"{1 + k} MIU sc once"], "preview": k % 2 == 0} for k in range(50)]
        answers = list(pool.map(lambda body: ask(site, body=body)[0], asked))
        assert answers == [200] * 50


def test_a_whole_answer_pauses_for_first_pictures_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(Turns, "PAUSES_S", 0.4)

    async def meet():
        turns = Turns(1)
        whole, first = turns.pauses(first=False), turns.pauses(first=True)
        async with turns.place(False, 1.0):
            whole()
            assert whole.taken_s == 0.0  # nobody else is there
            async with turns.place(True, 1.0):  # though all places of whole answers are taken
                first()
                assert first.taken_s == 0.0
                await asyncio.to_thread(whole)
                assert 0.4 <= whole.taken_s < 2.0
                begun = time.monotonic()
                await asyncio.to_thread(whole)  # it has paused enough
                assert time.monotonic() - begun < 0.2
                with pytest.raises(TimeoutError):
                    async with turns.place(True, 0.1):
                        pytest.fail("there was one place")
            later = turns.pauses(first=False)
            await asyncio.to_thread(later)
            assert later.taken_s == 0.0  # who gave up waits no longer, and holds nobody up

    asyncio.run(meet())


def test_connections_that_ask_for_nothing_do_not_take_all_places(monkeypatch):
    monkeypatch.setattr(server, "HEAD_PATIENCE_S", 0.5)
    monkeypatch.setattr(server, "MOST_CONNECTIONS", 64)
    with served() as site, contextlib.ExitStack() as stack:
        port = int(re.search(r":(\d+)/$", site.url)[1])
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(70)]
        end = time.monotonic() + 10.0
        for k in range(6):  # some say nothing, some a letter now and then
            for connection in idle[::2]:
                with contextlib.suppress(OSError):  # closed by then
                    connection.sendall(b"GET / HTTP/1.1\r\n"[k : k + 1])
            time.sleep(0.2)
        while ask(site, "/")[0] != 200:
            assert time.monotonic() < end
            time.sleep(0.1)


# --- address --------------------------------------------------------------------------------------


def test_a_port_that_is_taken_and_an_address_of_another_machine_are_said(site):
    port = int(re.search(r":(\d+)/$", site.url)[1])
    with pytest.raises(InputError, match=f"port {port} cannot be taken .*--port"):
        Site(port=port)
    with pytest.raises(InputError, match="no address"):
        Site(host="no.such.host.invalid")
    with pytest.raises(InputError, match="cannot be taken"):
        Site(host="192.0.2.1")
    with pytest.raises(PkpdError, match='no fit "il2"'):
        Site("il2")


def test_beyond_loopback_there_is_a_warning_and_addresses_and_own_names_are_answered():
    with contextlib.closing(Site(subjects=20)) as site:
        assert site.warning == ""
    with served(host="0.0.0.0", names=["Pharmacology.example"]) as site:
        assert "no password" in site.warning
        own = socket.gethostname()
        for host in ("pharmacology.example:8000", "192.0.2.7:8000", "[2001:db8::7]:8000", "localhost", own):
            assert ask(site, "/", headers={"Host": host})[0] == 200
        for host in ("other.example:8000", "192.0.2.7.example", "a.pharmacology.example", "", "[x]:8000"):
            status, _, said = ask(site, "/", headers={"Host": host})
            assert status == 403 and b"--name" in said


def test_behind_what_passes_requests_on_a_name_is_answered_at_this_machine_too():
    with served(names=["pharmacology.example"]) as site:
        assert ask(site, "/", headers={"Host": "pharmacology.example"})[0] == 200
        assert ask(site, "/", headers={"Host": "192.0.2.7"})[0] == 403


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent another way there")
def test_ctrl_c_ends_the_command_cleanly():
    # the one that reads the address may be quick, and whoever starts commands in the background has them
    # ignore SIGINT
    ignoring = (
        "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); from pkpd.cli import main; main()"
    )
    command = [sys.executable, "-c", ignoring, "explore", "--no-browser", "--subjects", "20"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            line = process.stdout.readline()
            url = re.search(r"open (http://127\.0\.0\.1:\d+/) ", line)
            assert url, line + process.stderr.read()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
        finally:
            process.kill()  # or leaving it would wait for ever
    assert process.returncode == 0 and "Traceback" not in errors and "Warning" not in errors


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent another way there")
def test_ctrl_c_is_heard_before_the_server_has_begun(monkeypatch):
    def run(self, sockets=None):
        heard.append("run")
        os.kill(os.getpid(), signal.SIGINT)  # as the loop is about to begin
        run_as_usual(self, sockets)
        heard.append("end")

    heard = []
    run_as_usual = server.uvicorn.Server.run
    monkeypatch.setattr(server.uvicorn.Server, "run", run)
    before = signal.getsignal(signal.SIGINT)
    Site(subjects=20).run()
    assert heard == ["run", "end"] and signal.getsignal(signal.SIGINT) is before


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C is sent another way there")
def test_ctrl_c_is_heard_from_when_the_address_is_told():
    """Whatever it meant before: in a command that runs in the background it means nothing."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        Site(subjects=20).run(lambda: os.kill(os.getpid(), signal.SIGINT))
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_field_error_is_an_input_error():
    with pytest.raises(FieldError) as wrong:
        Explorer(subjects=20).evaluate({"bsa": 99})
    assert wrong.value.exit_code == 3
