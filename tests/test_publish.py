"""The page of figures is what the published runs say: written again from them, it is the same; a file that is
no run is refused, and nothing is written then."""

import copy
import json
import os

import pytest

from benchmarks import circumstances, command, publish
from benchmarks.figures import landings
from pkpd.core.errors import DataError
from pkpd.ode import processor
from pkpd.ode.layout import LANES

RUNS = publish.kept()


def _spread(value):
    return {"median": value, "low": 0.9 * value, "high": 1.1 * value}


def _problem(solvers):
    """Two points on the envelope, one off it; {solver: times as long as our best}."""
    points = [(1e-3, 1e-3), (1e-6, 2e-3), (1e-5, 3e-3)]
    return {
        "title": "Robertson, to 1e11",
        "n_states": 3,
        "n_times": 12,
        "cross_check": 1e-9,
        "turns": 9,
        "curves": {
            name: {
                "points": [
                    {"rtol": e, "atol_factor": None, "error": e, "seconds": _spread(ratio * s)}
                    for e, s in points
                ],
                "first_s": 1.0,
                "failure": "",
            }
            for name, ratio in solvers.items()
        },
        "ratios": [
            {
                "target": 1e-4,
                "solver": name,
                "best": "pkpd auto",
                "seconds": _spread(r),
                "to_best": _spread(r),
            }
            for name, r in solvers.items()
        ],
        "same_rtol": {},
    }


@pytest.fixture
def run():
    return {
        "processor": "AMD(R) EPYC 7R13 Processor @ 2.6GHz",
        "cores": 2,
        "target": {"name": "znver3", "instructions": "AVX2", "lanes": 8},
        "memory_gb": 8.1,
        "system": "Linux",
        "python": "3.11.7",
        "versions": {"pkpd": "0.1.0"},
        "peers": {"numbalsoda": "0.3.4"},
        "quick": True,
        "yardstick_s": 1.23456789,
        "occasions": [
            {"piece": "population", "date": "2026-01-02T03:04:05+00:00", "commit": "abc", "load": 0.25}
        ],
        "results": {
            "precision": {"robertson": _problem({"pkpd auto": 1.0, "numbalsoda LSODA": 2.987654321})},
            "lanes": {
                "throughput": {"1000": {"seconds": _spread(0.2), "per_second": _spread(2345.6)}},
                "speed_up": _spread(3.5),
            },
            "population": {"scaling": {"1": {}, "2": {"speed_up": _spread(1.95)}}},
            "memory": {"import numpy": 30.1, "diffrax": 250.0},
            "evaluations": {"call_us": _spread(8.0)},
            "gradient": {"auto": {"usual": {"ratio": _spread(4.4)}, "tight": {"ratio": _spread(6.0)}}},
        },
    }


@pytest.fixture
def root(tmp_path):
    """A checkout with nothing published."""
    (tmp_path / "README.md").write_text(f"before\n{publish.BEGIN}old\n{publish.END}after\n")
    (tmp_path / "docs").mkdir()
    return tmp_path


def saved(run, folder, name="run.json"):
    (folder / name).write_text(json.dumps(run))
    return folder / name


# --- what is published


def test_the_page_is_what_the_published_runs_say():
    assert (publish.ROOT / publish.PAGE).read_text(encoding="utf-8") == publish.text(RUNS)


def test_the_table_of_readme_is_what_the_published_runs_say():
    text = (publish.ROOT / publish.README).read_text(encoding="utf-8")
    assert text == publish.readme(text, RUNS)
    assert all(publish.label(run) in text for run in RUNS)


def test_each_diagram_shows_every_solver_that_has_a_point():
    named = set()
    for run in RUNS:
        for problem, found in publish.solved(run).items():
            path = publish.ROOT / publish.diagram(run, problem)
            svg = path.read_text(encoding="utf-8")
            assert [
                name for name, curve in found["curves"].items() if curve["points"] and name not in svg
            ] == []
            named.add(path)
    assert named == set((publish.ROOT / publish.DIAGRAMS).glob("*.svg"))


def test_published_files_are_small_and_named_by_what_they_are_of():
    for path in (publish.ROOT / publish.PUBLISHED).glob("*.json"):
        assert path.stat().st_size < 300_000
        assert path.stem == publish.slug(publish.read_run(path))


# --- publishing


def test_a_run_is_taken_in_and_the_page_written_from_what_is_kept(run, root):
    run["results"]["memory"]["diffrax"] = float("nan")
    written = publish.publish([saved(run, root)], root)
    assert all(path.is_file() for path in written)
    (kept,) = publish.kept(root)
    page = (root / publish.PAGE).read_text()
    assert "AMD EPYC 7R13, AVX2" in page
    assert "numbalsoda LSODA over our best | at least 3 | **2.99 [2.69, 3.29]: short** |" in page
    assert "| a call of `solve` that integrates nothing, microseconds | at most 10 | 8 [7.2, 8.8] |" in page
    assert "15 sensitivities against one with none, auto | at most 4 | **4.4 [3.96, 4.84]: short** |" in page
    assert "| 1,000 subjects of il2_treg, solves per second of a core | 2,346 [2,111, 2,580] |" in page
    assert "| peak memory of a process, diffrax, MB | failed |" in page
    assert "measured/amd-epyc-7r13-avx2_robertson.svg" in page
    readme = (root / "README.md").read_text()
    assert readme.startswith(f"before\n{publish.BEGIN}|") and readme.endswith(f"|\n{publish.END}after\n")
    assert "old" not in readme and "not measured" in readme
    assert len(kept["results"]["precision"]["robertson"]["curves"]["pkpd auto"]["points"]) == 2
    before = page
    publish.publish([], root)  # from the files alone
    assert (root / publish.PAGE).read_text() == before


def test_figures_by_the_clock_beside_other_work_are_not_held_against_what_is_wanted(run):
    run["results"]["population"]["scaling"]["2"]["speed_up"] = _spread(1.0)
    name = "two cores against one, 10,000 subjects"
    assert f"| {name} | at least 1.9 | **1 [0.9, 1.1]: short** |" in publish.text([run])
    run["occasions"][0]["load"] = 7.9
    assert f"| {name} | at least 1.9 | 1 [0.9, 1.1], beside other work (load 8) |" in publish.text([run])
    assert "**4.4 [3.96, 4.84]: short**" in publish.text([run])  # of the processor


def test_pieces_of_several_commits_are_told_apart(run):
    assert "| last commit to what integrates | abc |" in publish.text([run])
    run["occasions"].append(run["occasions"][0] | {"piece": "precision hires", "commit": "def"})
    run["occasions"].append(run["occasions"][0] | {"piece": "gradient"})
    assert "| abc: population, gradient; def: hires |" in publish.text([run])


def test_a_kept_run_promises_what_the_whole_one_does(run):
    whole, kept = landings(run["results"]), landings(publish.reduced(run)["results"])
    assert [one.what for one in kept] == [one.what for one in whole]
    for one, other in zip(kept, whole, strict=True):
        assert one.met == other.met
        assert one.found is None or one.found == pytest.approx(other.found, rel=1e-3)


def test_two_processors_stand_side_by_side_and_a_newer_run_replaces_its_own(run, root):
    wide = copy.deepcopy(run) | {"target": {"name": "znver4", "instructions": "AVX-512", "lanes": 8}}
    publish.publish([saved(run, root), saved(wide, root, "wide.json")], root)
    page = (root / publish.PAGE).read_text()
    assert "|  | wanted | AMD EPYC 7R13, AVX-512 | AMD EPYC 7R13, AVX2 |" in page
    del run["results"]["precision"]
    run["results"]["evaluations"]["call_us"] = _spread(9.0)
    publish.publish([saved(run, root)], root)
    page = (root / publish.PAGE).read_text()
    assert "| at most 10 | 8 [7.2, 8.8] | 9 [8.1, 9.9] |" in page
    assert [path.name for path in (root / publish.DIAGRAMS).iterdir()] == [
        "amd-epyc-7r13-avx-512_robertson.svg"
    ]


def _without(*keys):
    def change(run):
        for key in keys[:-1]:
            run = run[key]
        del run[keys[-1]]

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("target"), "it has no target"),
        (_without("processor"), "it has no processor"),
        (_without("results", "precision", "robertson", "ratios"), "ratios"),
        (_without("results", "gradient", "auto", "usual"), "usual"),
        (lambda run: run["target"].update(instructions="MMX"), "instructions of its target are 'MMX'"),
        (lambda run: run.update(occasions=[]), "nothing was measured"),
        (lambda run: run["occasions"][0].update(date=None), ""),
        (lambda run: run["results"]["precision"].update(x={}), "there is no problem x"),
        (lambda run: run["results"]["evaluations"].update(call_us={"median": "fast"}), ""),
    ],
)
def test_a_malformed_run_is_refused_and_nothing_is_written(run, root, change, said):
    good = saved(run, root, "good.json")
    broken = copy.deepcopy(run)
    broken["target"]["instructions"] = "SSE2"
    change(broken)
    with pytest.raises(DataError, match=r"broken\.json is not the JSON of a run of the benchmarks") as error:
        publish.publish([good, saved(broken, root, "broken.json")], root)
    assert said in str(error.value)
    assert not (root / "benchmarks").exists() and not (root / publish.PAGE).exists()


def test_what_is_no_json_or_of_one_processor_twice_is_refused(run, root, capsys):
    (root / "text.json").write_text("fast")
    for files in ([root / "text.json"], [root / "nowhere.json"], [saved(run, root)] * 2, []):
        with pytest.raises(DataError):
            publish.publish(files, root)
    with pytest.raises(SystemExit):
        command.main(["--publish", str(root / "text.json")])
    assert "text.json is not the JSON of a run" in capsys.readouterr().err


def test_a_readme_without_a_place_for_the_table_is_told(run):
    with pytest.raises(DataError, match="no place for the table"):
        publish.readme("# pkpd\n", [run])


# --- a run in pieces


def test_a_run_goes_on_where_machine_and_versions_are_the_same(run, root):
    fresh = {key: run[key] for key in circumstances.SAME}
    assert command.begun(fresh, saved(run, root))["results"] == run["results"]
    assert command.begun(fresh, root / "none.json")["results"] == {}
    with pytest.raises(DataError, match=r"cores was 2, is 64.* Name another output"):
        command.begun(fresh | {"cores": 64}, root / "run.json")


def test_what_a_file_has_is_not_measured_again(monkeypatch, root, capsys):
    """A problem, and a section, each once; the file is whole after every piece."""
    asked, file = [], root / "run.json"

    def measured(section, problem, quick, turns):
        asked.append((problem or section, file.exists() and len(json.loads(file.read_text())["occasions"])))
        ratio = {"ratio": _spread(3.0)}
        return (
            {problem: _problem({"pkpd auto": 1.0})} if problem else {"auto": {"usual": ratio, "tight": ratio}}
        )

    same = dict.fromkeys(circumstances.SAME, 1) | {"peers": {}}
    monkeypatch.setattr(command, "measured", measured)
    monkeypatch.setattr(command, "circumstances", lambda quick: same)
    for sections, problems in (
        ("precision", "robertson"),
        ("gradient", ""),
        ("precision", "robertson,hires"),
    ):
        assert command.main([sections, "--problems", problems, "--resume", "-o", str(file)]) == 0
    assert asked == [("robertson", False), ("gradient", 1), ("hires", 2)]
    assert [at["piece"] for at in json.loads(file.read_text())["occasions"]] == [
        "precision robertson",
        "gradient",
        "precision hires",
    ]
    with pytest.raises(SystemExit):
        command.main(["precision", "--problems", "robertsen"])
    assert "no problem robertsen; there are lotka_volterra" in capsys.readouterr().err


def test_numba_gets_no_instructions_that_ours_may_not_use(monkeypatch):
    for name in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES", "XLA_FLAGS"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(processor, "level", lambda: "")
    circumstances.restrict()
    assert "NUMBA_CPU_NAME" not in os.environ
    monkeypatch.setattr(processor, "level", lambda: "x86-64-v3")
    circumstances.restrict()
    assert (os.environ["NUMBA_CPU_NAME"], os.environ["NUMBA_CPU_FEATURES"]) == ("x86-64-v3", "")
    assert os.environ["XLA_FLAGS"] == "--xla_cpu_max_isa=AVX2"


@pytest.mark.parametrize(
    ("features", "name"),
    [
        ("+sse2,+avx2,-avx512f", "AVX2"),
        ("+avx2,+avx512f", "AVX-512"),
        ("+sse4.2,-avx2", "SSE2"),
        ("+neon,+crc", "NEON"),
    ],
)
def test_instructions_are_read_off_the_features(features, name):
    assert circumstances.instructions(features) == name


def test_a_run_says_for_which_processor_code_was_compiled(monkeypatch):
    monkeypatch.setattr(processor, "target", lambda: ("x86-64-v3", ""))
    assert circumstances.target() == {"name": "x86-64-v3", "instructions": "AVX2", "lanes": LANES}
    monkeypatch.setattr(processor, "target", lambda: ("znver4", "+avx2,+avx512f"))
    assert circumstances.target()["instructions"] == "AVX-512"
