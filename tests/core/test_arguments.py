"""Public functions refuse wrong types with a sentence of their own, take values with units, and what they
give shows itself in a few lines."""

import warnings

import numpy as np
import pytest
from small_models import UNBOUNDED

import pkpd
from pkpd.core import library
from pkpd.core.arguments import COUNT, LIST, NUMBERS, TEXT, WHOLE, check, takes
from pkpd.core.errors import InputError, PkpdError, UnitError
from pkpd.decision.adaptive import titrate
from pkpd.decision.optimisation import Space, optimise
from pkpd.dosing import Schedule
from pkpd.dosing.records import parse_records, read_records
from pkpd.dosing.rules import AdaptiveSchedule
from pkpd.inference import FitResult, read_fit
from pkpd.inference.population import bands, virtual_subjects
from pkpd.inference.summary.reading import parse_data, read_data
from pkpd.model.check import read_model
from pkpd.present.report import read_report, write_report
from pkpd.present.report.comparison import write_comparison_report
from pkpd.present.report.front import write_front_report
from pkpd.solver import solve

MODEL = "one_compartment_iv"
RECORDS = "ID,TIME,AMT\n1,0,100\n1,1,.\n"
DOSES = Schedule.parse("100 mg iv once")
WRONG = [
    None,
    3,
    3.5,
    float("nan"),
    -1,
    True,
    "x",
    b"x",
    [],
    ["x"],
    [1, "a"],
    (),
    {"a": 1},
    {1, 2},
    object(),
    np.array([[1.0]]),
    lambda: 1,
]


@pytest.fixture(scope="module")
def things(tmp_path_factory):
    folder = tmp_path_factory.mktemp("arguments")
    (folder / "records.csv").write_text(RECORDS)
    scene = pkpd.Scene.create(subjects=60, draws=10, until_days=28)
    arms = scene.arms(["1 MIU sc once", "2 MIU sc once"])
    kernel, il2 = pkpd.load(MODEL), pkpd.load("il2_treg")
    space = Space.parse(dose="1, 2 MIU", days="1", interval="28 d", cycles="1")
    return {
        "folder": folder,
        "scene": scene,
        "arms": arms,
        "comparison": pkpd.compare(arms),
        "kernel": kernel,
        "il2": il2,
        "space": space,
        "front": optimise(scene, space),
        "events": DOSES.events(kernel.TIME_UNIT, kernel.ROUTES, kernel.DOSE_UNITS, kernel.SIZES),
        "result": FitResult.read_json(library.fit_result("low_dose_il2")),
    }


def calls(at):
    """Name -> (function, arguments that are right)."""
    plan = AdaptiveSchedule.parse("1 MIU sc daily x3; hold if nk > 2 x baseline")
    file = at["folder"] / "records.csv"
    return {
        "simulate": (
            pkpd.simulate,
            {
                "model": MODEL,
                "schedule": "100 mg iv once",
                "times": [0, 1.0],
                "parameters": {},
                "subjects": 1,
                "seed": 0,
                "rtol": 1e-6,
                "atol": None,
                "method": "auto",
                "threads": None,
            },
        ),
        "simulate_records": (
            pkpd.simulate_records,
            {
                "model": MODEL,
                "records": file,
                "times": [0, 1.0],
                "interpolation": None,
                "time_unit": None,
                "parameters": {},
                "rtol": 1e-6,
                "method": "auto",
                "threads": None,
            },
        ),
        "load": (pkpd.load, {"model": MODEL, "linear": ()}),
        "solve": (
            solve,
            {
                "kernel": at["kernel"],
                "values": at["kernel"].VALUES,
                "events": at["events"],
                "times": [1.0],
                "options": pkpd.Options(),
                "directions": (),
                "changes": (),
                "knots": None,
                "initial": None,
                "start": None,
                "factors": None,
                "roots": (),
                "most_crossings": 64,
            },
        ),
        "Options": (
            pkpd.Options,
            {
                "rtol": 1e-6,
                "atol": None,
                "method": "auto",
                "slack": 30.0,
                "h_max": np.inf,
                "max_steps": 1000,
                "non_negative": False,
                "threads": None,
            },
        ),
        "titrate": (
            titrate,
            {"kernel": at["il2"], "values": at["il2"].VALUES, "plan": plan, "times": [24.0]},
        ),
        "Scene.create": (
            pkpd.Scene.create,
            {
                "fit": "low_dose_il2",
                "subjects": 5,
                "draws": 4,
                "seed": 1,
                "vary": (),
                "study": None,
                "covariates": None,
                "responders": None,
                "parameters": None,
                "until_days": None,
                "threads": None,
            },
        ),
        "Scene.arms": (at["scene"].arms, {"schedules": ["1 MIU sc once"], "labels": None, "files": None}),
        "Scene.arm": (at["scene"].arm, {"schedule": "1 MIU sc once", "label": None}),
        "virtual_subjects": (
            virtual_subjects,
            {
                "fit": "low_dose_il2",
                "subjects": 5,
                "seed": 0,
                "vary": (),
                "draws": None,
                "study": None,
                "covariates": None,
                "responders": None,
                "parameters": None,
            },
        ),
        "compare": (pkpd.compare, {"arms": at["arms"]}),
        "Comparison.row": (at["comparison"].row, {"endpoint": "Cmax", "arm": 0}),
        "Comparison.choose": (at["comparison"].choose, {"names": ["Cmax"]}),
        "Schedule.parse": (Schedule.parse, {"text": "1 MIU sc once"}),
        "Schedule.total": (DOSES.total, {"unit": "mg"}),
        "Schedule.scaled": (DOSES.scaled, {"factor": 2}),
        "Schedule.shifted": (DOSES.shifted, {"days": 2}),
        "Schedule.from_doses": (Schedule.from_doses, {"doses": ()}),
        "AdaptiveSchedule.parse": (AdaptiveSchedule.parse, {"text": str(plan)}),
        "Space.parse": (
            Space.parse,
            {
                "dose": "1 MIU",
                "days": "1",
                "interval": "28 d",
                "cycles": "1",
                "spacing": "1 d",
                "duration": None,
                "route": "sc",
            },
        ),
        "optimise": (
            optimise,
            {
                "scene": at["scene"],
                "space": at["space"],
                "constraints": (),
                "objectives": None,
                "confidence": 0.5,
                "evaluations": 3,
            },
        ),
        "read_fit": (read_fit, {"name_or_path": "low_dose_il2"}),
        "read_report": (read_report, {"path": library.root() / "fits" / "low_dose_il2"}),
        "read_records": (read_records, {"path": file}),
        "parse_records": (parse_records, {"content": RECORDS}),
        "read_data": (read_data, {"path": library.root() / "fits" / "low_dose_il2" / "data.csv"}),
        "write_comparison_report": (
            write_comparison_report,
            {"comparison": at["comparison"], "path": at["folder"] / "c.html"},
        ),
        "write_front_report": (write_front_report, {"front": at["front"], "path": at["folder"] / "f.html"}),
    }


NAMES = [
    "simulate",
    "simulate_records",
    "load",
    "solve",
    "Options",
    "titrate",
    "Scene.create",
    "Scene.arms",
    "Scene.arm",
    "virtual_subjects",
    "compare",
    "Comparison.row",
    "Comparison.choose",
    "Schedule.parse",
    "Schedule.total",
    "Schedule.scaled",
    "Schedule.shifted",
    "Schedule.from_doses",
    "AdaptiveSchedule.parse",
    "Space.parse",
    "optimise",
    "read_fit",
    "read_report",
    "read_records",
    "parse_records",
    "read_data",
    "write_comparison_report",
    "write_front_report",
]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_of_a_wrong_type_is_refused_with_a_sentence(things, name):
    assert set(calls(things)) == set(NAMES)
    function, right = calls(things)[name]
    function(**right)
    for argument in right:
        for value in WRONG:
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    function(**{**right, argument: value})
            except PkpdError:
                pass
            except Exception as error:
                raise AssertionError(
                    f"{name}: {argument}={value!r}: {type(error).__name__}: {error}"
                ) from error


@pytest.mark.parametrize(
    "value",
    [value for value in WRONG if not isinstance(value, str)],
    ids=lambda value: type(value).__name__,
)
def test_what_takes_long_or_writes_is_refused_before(things, value):
    folder = things["folder"] / "report"
    for function, arguments in (
        (pkpd.fit, {"fit": value}),
        (pkpd.fit, {"fit": "nothing", "threads": value if value is not None and value != 3 else -2}),
        (write_report, {"result": value, "folder": folder}),
        (write_report, {"result": things["result"], "folder": value}),
        (parse_data, {"content": value if not isinstance(value, bytes) else 0}),
    ):
        with pytest.raises(InputError):
            function(**arguments)
    assert not folder.exists()


def test_the_sentence_names_function_argument_and_what_would_be_right():
    for call, said in (
        (
            lambda: pkpd.simulate(MODEL, ["x"]),
            "simulate: schedule must be a text or a Schedule or a TakenSchedule, not ['x'] (list)",
        ),
        (lambda: pkpd.simulate(MODEL, "none", "x"), "simulate: times must be numbers or None, not 'x' (str)"),
        (
            lambda: pkpd.Scene.create(until_days="3"),
            "Scene.create: until_days must be a number or None, not '3' (str)",
        ),
        (lambda: pkpd.fit(7), "fit: fit must be a path or what a fit folder says (FitSpec), not 7 (int)"),
    ):
        with pytest.raises(InputError) as error:
            call()
        assert str(error.value) == said


def test_kinds_hold_what_they_say():
    for value in ([1, 2.5], (0,), range(3), np.arange(3), 2, 2.5, np.float32(1), []):
        assert NUMBERS.holds(value), value
    for value in ("1", ["1"], None, True, {"a": 1}, {1}, b"1", [None], print):
        assert not NUMBERS.holds(value), value
    assert COUNT.holds(1) and not COUNT.holds(0) and not WHOLE.holds(1.0) and not WHOLE.holds(True)
    assert LIST.holds(iter([1])) and not LIST.holds("ab")
    with pytest.raises(InputError, match="f: x must be a text, not 1"):
        check("f", "x", 1, TEXT)


def test_late_looks_only_where_a_call_fails():
    @takes(late=True, x=NUMBERS)
    def double(x):
        return 2 * x

    assert double("ab") == "abab"
    with pytest.raises(InputError, match="x must be numbers"):
        double(None)
    with pytest.raises(TypeError):  # not the argument's fault
        double([1], 2)


# --- values with units


def test_parameters_may_be_texts_with_a_unit():
    one = pkpd.simulate(MODEL, "100 mg iv once", [0, 5.0], parameters={"CL": "80 mL/min", "V": "32"})
    two = pkpd.simulate(MODEL, "100 mg iv once", [0, 5.0], parameters={"CL": 4.8, "V": 32.0})
    np.testing.assert_allclose(one.outputs, two.outputs, rtol=1e-12)
    assert one["C"][0, 1] == pytest.approx(100 / 32 * np.exp(-4.8 / 32 * 5), rel=1e-5)
    with pytest.raises(UnitError, match="kg"):
        pkpd.simulate(MODEL, "100 mg iv once", parameters={"CL": "80 kg"})
    with pytest.raises(
        InputError, match=r'CL = \{1\} must be a number in L/h, or a text with its unit such as "2 L/h"'
    ):
        pkpd.simulate(MODEL, "100 mg iv once", parameters={"CL": {1}})
    with pytest.raises(InputError, match="CL = 1e9 L/h is outside its bounds"):
        pkpd.simulate(MODEL, "100 mg iv once", parameters={"CL": "1e9 L/h"})


def test_subjects_of_a_fit_take_them_too():
    kernel = pkpd.load("il2_treg")
    place = [kernel.PARAMETERS.index(name) for name in ("BSA", "CL")]
    one, two = (
        virtual_subjects(
            "low_dose_il2", 8, vary=(), covariates={"BSA": bsa}, parameters={"CL": clearance}
        ).values[:, place]
        for bsa, clearance in (("1.9 m^2", "6000 mL/h"), (1.9, 6.0))
    )
    np.testing.assert_allclose(one, two, rtol=1e-12)


def test_a_value_below_zero_is_warned_of_where_nothing_bounds_it(tmp_path):
    (tmp_path / "my.model").write_text(UNBOUNDED)
    with pytest.warns(RuntimeWarning, match="V = -3 L is below zero, where the model has 30"):
        pkpd.simulate(tmp_path / "my.model", "100 mg iv once", [0.0, 1.0], parameters={"V": -3})
    pkpd.simulate(tmp_path / "my.model", "100 mg iv once", [0.0, 1.0], parameters={"shift": -3})


# --- what they show


def test_everything_shows_itself_in_a_few_lines(things):
    profile = pkpd.simulate(MODEL, "100 mg iv every 12 h x6", subjects=3)
    found = solve(
        things["kernel"],
        things["kernel"].VALUES,
        things["events"],
        [1.0],
        directions=["CL"],
        roots=[("C", 1.0)],
    )
    people = virtual_subjects("low_dose_il2", 8)
    doses = Schedule.parse("1 MIU sc once").events(
        "h", people.kernel.ROUTES, people.kernel.DOSE_UNITS, people.kernel.SIZES
    )
    many = Schedule.from_doses(
        pkpd.Schedule.parse("1 mg iv at 0, 1, 3, 7 h").doses()[i % 4] for i in range(4)
    )
    irregular = Schedule.parse(f"1 mg iv at {', '.join(str(i * i) for i in range(300))} h")
    shown = [
        profile,
        found,
        people,
        many,
        irregular,
        things["scene"],
        things["comparison"],
        things["front"],
        things["result"],
        things["kernel"],
        things["events"],
        *things["arms"],
        *things["front"].choices,
        bands(people, doses, [0.0, 1.0], ["nk"]),
        read_fit("low_dose_il2"),
        read_data(library.root() / "fits" / "low_dose_il2" / "data.csv"),
        parse_records(RECORDS),
        read_model(*library.read_model_text("il2_treg")),
        pkpd.simulate_records(MODEL, things["folder"] / "records.csv"),
    ]
    for thing in shown:
        text = repr(thing)
        assert text and len(text) < 600 and text.count("\n") < 6, type(thing)
        assert "array(" not in text
    assert "3 subjects, 201 times from 0 to 120 h; C" in repr(profile)
    assert "converged, OFV" in repr(things["result"])
    assert "A  1 MIU sc once" in repr(things["comparison"])
    assert repr(irregular).startswith("<Schedule of 300 doses on days 0")


def test_notebooks_show_results_as_a_sentence_and_a_table(things):
    people = virtual_subjects("low_dose_il2", 8)
    doses = Schedule.parse("1 MIU sc once").events_for(people.kernel)
    band = bands(people, doses, [0.0, 1.0], ["nk", "treg_pct"])
    found = solve(things["kernel"], things["kernel"].VALUES, things["events"], [1.0])
    differ = int(np.count_nonzero(np.ptp(people.values, axis=0)))
    comparison, front = things["comparison"], things["front"]
    for thing, rows in (
        (comparison, len(comparison.main().rows)),
        (front, len(front.shown)),
        (things["arms"][0], len(things["arms"][0].bands)),
        (people, differ),
        (band, 4),
        (found, len(found.statistics)),
        (things["events"], 1),
        (things["result"], len(things["result"].estimates)),
        (things["scene"], 3),
        (pkpd.Scene.create(subjects=2, covariates={"BSA": 1.9}), 4),
        (Schedule.parse("1 MIU sc daily x5 then weekly x7"), 2),
        (Schedule.parse("none"), 0),
    ):
        shown = thing._repr_html_()
        assert shown.startswith("<p>") and shown.count("<tr>") == 1 + rows, type(thing)
        assert "<td>nan" not in shown and "[" not in shown
    assert "A: 1 MIU sc once; B: 2 MIU sc once" in comparison._repr_html_()


def test_every_public_class_that_is_a_result_shows_itself_in_a_notebook():
    given = {"Dask", "Endpoint", "Kernel", "Options", "Processes", "Solver", "Threads", "Timeline"}
    given |= {"TrialDesign"}
    classes = {name: thing for name in pkpd.__all__ if isinstance(thing := getattr(pkpd, name), type)}
    results = {name for name, kind in classes.items() if not issubclass(kind, Exception)} - given
    assert {name for name in results if not hasattr(classes[name], "_repr_html_")} == set()


def test_results_with_dimensions_become_datasets_that_keep_their_names(things):
    comparison, arm = things["comparison"], things["arms"][1]
    dataset = comparison.to_xarray()
    for name in ("Treg mean fold", "Cmax"):
        at = dataset.sel(endpoint=name, arm="2 MIU sc once")
        row = comparison.row(name, 1)
        assert (float(at["median"]), float(at["difference"])) == (row.median, row.difference)
        assert str(at["unit"].values) == row.endpoint.unit
    shown = arm.to_xarray()
    np.testing.assert_array_equal(shown["nk"].sel(quantile=0.5), arm.bands["nk"][1])
    cmax = next(values for endpoint, values in arm.endpoints.items() if endpoint.name == "Cmax")
    np.testing.assert_array_equal(shown["endpoints"].sel(endpoint="Cmax"), cmax)

    people = virtual_subjects("low_dose_il2", 8, draws=2)
    dataset = people.to_xarray()
    assert dataset["CL"].attrs["units"] == people.kernel.UNITS[people.kernel.PARAMETERS.index("CL")]
    np.testing.assert_array_equal(dataset["draw"], people.draw)
    doses = Schedule.parse("1 MIU sc once").events_for(people.kernel)
    band = bands(people, doses, [0.0, 24.0], ["nk"])
    np.testing.assert_array_equal(band.to_xarray()["nk"].sel(time=24.0), band.values[:, 1, 0])

    kernel = things["kernel"]
    found = solve(kernel, kernel.VALUES, things["events"], [1.0, 2.0], directions=["CL"])
    dataset = found.to_xarray()
    assert dataset["sensitivities"].dims == ("subject", "time", "output", "direction")
    assert "states" not in dataset and dataset.attrs["time_unit"] == kernel.TIME_UNIT
