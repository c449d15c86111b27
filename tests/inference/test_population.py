"""Virtual subjects differ as the fit says and by nothing else, each is the same whoever else there is, and
bands over them are quantiles of their paths."""

import dataclasses
import json
import re
import shutil
import tomllib

import numpy as np
import pytest
import toy
from hypothesis import given, settings
from hypothesis import strategies as st

from pkpd.core import library
from pkpd.core.errors import DataError, InputError, LibraryError, SolverError
from pkpd.dosing import Schedule
from pkpd.inference import FitResult, fit, read_fit
from pkpd.inference.population import RESPONDERS, VARIATION, bands, virtual_subjects
from pkpd.simulation.profile import population
from pkpd.solver import Options, solve

FIT = "low_dose_il2"


@pytest.fixture(scope="module")
def result():
    return FitResult.read_json(library.fit_result(FIT))


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    """A fit of one's own with its result beside it; it has study effects, and no spread between people but
    the model file's."""
    folder = toy.write(tmp_path_factory.mktemp("population") / "toy")
    fit(read_fit(folder), rival=False, unverified=False, check=False).write_json(folder / "result.json")
    return folder


def column(people, name):
    return people.values[:, people.kernel.PARAMETERS.index(name)]


def events(people, text):
    k = people.kernel
    return Schedule.parse(text).events(k.TIME_UNIT, k.ROUTES, k.DOSE_UNITS, k.SIZES)


# ---- the same subjects


@settings(max_examples=25)
@given(
    few=st.integers(1, 12),
    more=st.integers(0, 12),
    vary=st.sets(st.sampled_from(VARIATION)),
    draws=st.one_of(st.none(), st.integers(1, 5)),
    seed=st.integers(0, 2**64 - 1),
    responders=st.one_of(st.none(), st.sampled_from(RESPONDERS)),
)
def test_a_subject_is_the_same_however_many_there_are(result, few, more, vary, draws, seed, responders):
    given_ = {"seed": seed, "vary": vary, "draws": draws, "covariates": {"BSA": (1.9, 0.1)}}
    given_["responders"] = responders if "between" in vary else None
    small, large = (virtual_subjects(result, n, **given_) for n in (few, few + more))
    np.testing.assert_array_equal(small.values, large.values[:few])
    np.testing.assert_array_equal(small.draw, large.draw[:few])


def test_a_seed_is_a_population():
    one, other = (virtual_subjects(FIT, 20, seed=seed).values for seed in (1, 2))
    np.testing.assert_array_equal(one, virtual_subjects(FIT, 20, seed=1).values)
    varied = np.ptp(one, axis=0) > 0
    assert np.all(one[:, varied] != other[:, varied])


def test_draws_and_subjects_are_crossed_evenly():
    people = virtual_subjects(FIT, 20, draws=4)
    np.testing.assert_array_equal(people.draw, np.arange(20) % 4)
    assert len(np.unique(column(people, "EC50"))) == 4  # no spread between people, only the draws'
    assert len(np.unique(column(people, "K"))) == 20
    assert virtual_subjects(FIT, 20, vary="between", draws=4).draw.max() == 0


def test_between_people_the_draws_are_those_of_a_simulation(result):
    """One generator: with the model's own values and spreads they are the same people."""
    people = virtual_subjects(FIT, 50, seed=3, vary="between")
    theirs = population(people.kernel, 50, seed=3)
    z = np.log(theirs / people.kernel.VALUES)
    for name, between in zip(people.kernel.PARAMETERS, people.kernel.BETWEEN, strict=True):
        if between:
            j = people.kernel.PARAMETERS.index(name)
            mine = np.log(column(people, name) / result.values[name]) / result.between[name]
            np.testing.assert_allclose(mine, z[:, j] / between[1], rtol=1e-9)


# ---- what they vary by


def test_without_variation_all_are_the_typical_subject(result):
    people = virtual_subjects(FIT, 3, vary=())
    expected = [result.values[name] for name in people.kernel.PARAMETERS]
    np.testing.assert_array_equal(people.values, [expected] * 3)
    assert people.notes == ()


def test_between_alone_is_the_fitted_spread(result):
    n = 4000
    people = virtual_subjects(FIT, n, seed=5, vary=("between",))
    fitted = {e.target: e.value for e in result.estimates if e.kind == "between-subject SD"}
    assert set(fitted) == {"K", "pct0", "ka", "klymph"}
    declared = {n: b[1] for n, b in zip(people.kernel.PARAMETERS, people.kernel.BETWEEN, strict=True) if b}
    for name in people.kernel.PARAMETERS:
        logs = np.log(column(people, name) / result.values[name])
        sd = fitted.get(name, declared.get(name, 0.0))
        # four standard errors of a mean and of an SD
        assert abs(logs.mean()) <= 4 * sd / np.sqrt(n), name
        assert logs.std() == pytest.approx(sd, abs=4 * sd / np.sqrt(2 * n) + 1e-12), name
    assert fitted["pct0"] != declared["pct0"]  # or this could not tell them apart
    assert people.notes == (
        "How tlag, CL differ between people was not fitted: these SDs are the model file's own.",
    )


def test_uncertainty_has_the_covariance_of_the_fit(result):
    n = 4000
    people = virtual_subjects(FIT, n, seed=6, vary=("uncertainty",))
    free = [(i, e) for i, e in enumerate(result.estimates) if e.kind == "parameter"]
    x = np.column_stack([scaled(e.scale, column(people, e.target)) for _, e in free])
    places = [i for i, _ in free]
    covariance = np.array(result.covariance)[np.ix_(places, places)]
    sd = np.sqrt(np.diag(covariance))
    centre = np.array([e.x for _, e in free])
    assert np.abs((x.mean(axis=0) - centre) / sd).max() < 4 / np.sqrt(n)
    # standard error of a covariance of normal numbers, in units of the SDs: at most sqrt(2/n)
    assert np.abs((np.cov(x.T) - covariance) / np.outer(sd, sd)).max() < 5 * np.sqrt(2 / n)
    assert np.abs(np.corrcoef(x.T) - np.eye(len(sd))).max() > 0.3  # the fit is correlated: not each by itself
    still = [name for name in people.kernel.PARAMETERS if name not in {e.target for _, e in free}]
    assert all(len(np.unique(column(people, name))) == 1 for name in still)


def scaled(scale, values):
    return np.log(values) if scale == "log" else np.log(values / (1 - values))


def test_the_spread_between_people_is_itself_uncertain(result):
    people = virtual_subjects(FIT, 3000, seed=7, draws=3)
    kept = [people.draw == d for d in range(3)]
    sds = [np.log(column(people, "K")[which]).std() for which in kept]
    estimate = next(e for e in result.estimates if e.name == "SD K")
    # log-SD 0.47: three draws of it are further apart than a thousand subjects blur them (2 %)
    assert max(sds) / min(sds) > 1.1
    assert all(estimate.value * np.exp(-4 * 0.47) < sd < estimate.value * np.exp(4 * 0.47) for sd in sds)


def test_a_new_study_adds_its_variance(result):
    n = 4000
    spec = tomllib.loads((library.fit_folder(FIT) / "fit.toml").read_text())["study_effects"]
    new = virtual_subjects(FIT, n, seed=8, vary=("study",))
    for name in new.kernel.PARAMETERS:
        logs = np.log(column(new, name) / result.values[name])
        sd = spec.get(name, {"sd": 0.0})["sd"]
        assert logs.std() == pytest.approx(sd, abs=4 * sd / np.sqrt(2 * n) + 1e-12), name
    both, between = (virtual_subjects(FIT, n, seed=8, vary=v) for v in (("between", "study"), ("between",)))
    added = np.log(column(both, "pct0")).var() - np.log(column(between, "pct0")).var()
    assert added == pytest.approx(spec["pct0"]["sd"] ** 2, rel=0.15)
    # one study for all who share a draw
    one = virtual_subjects(FIT, 40, vary=("study",), draws=4)
    assert len(np.unique(column(one, "loss"))) == 4


def test_a_study_of_the_fit_has_its_own_effects(result):
    people = virtual_subjects(FIT, 2, vary=(), study="IMODALS")
    for name in people.kernel.PARAMETERS:
        assert column(people, name)[0] == pytest.approx(result.study_values["IMODALS"][name], rel=1e-12)
    assert result.study_values["IMODALS"] != result.values
    # they are as uncertain as the fit has them
    uncertain = virtual_subjects(FIT, 3000, vary="uncertainty", study="IMODALS")
    effect = next(e for e in result.estimates if e.name == "pct0 in IMODALS")
    logs = np.log(column(uncertain, "pct0"))
    assert logs.std() == pytest.approx(effect.x_sd, rel=4 / np.sqrt(2 * 3000))


# ---- who they are


def test_covariates_are_the_subjects_own():
    people = virtual_subjects(
        FIT,
        3000,
        vary=VARIATION,
        covariates={"BSA": (1.9, 0.1), "pct0": 5.0, "CD4": np.float64(800)},
        parameters={"CL": 8.0},
    )
    assert np.median(column(people, "BSA")) == pytest.approx(1.9, rel=4 * 1.25 * 0.1 / np.sqrt(3000))
    assert np.log(column(people, "BSA")).std() == pytest.approx(0.1, rel=4 / np.sqrt(6000))
    assert set(column(people, "pct0")) == {5.0}
    assert set(column(people, "CD4")) == {800.0}
    # a parameter is typical: people differ around it, the estimate's uncertainty is gone
    assert np.log(column(people, "CL") / 8.0).std() == pytest.approx(0.3, rel=4 / np.sqrt(6000))


def test_responders_are_thirds_of_the_spread_of_the_silent_parameter(result):
    n = 600
    ends = (
        np.exp(result.between["K"] * np.array([-np.inf, -0.4307273, 0.4307273, np.inf])) * result.values["K"]
    )
    everybody = virtual_subjects(FIT, n, seed=9, vary="between")
    for third, name in enumerate(RESPONDERS):
        people = virtual_subjects(FIT, n, seed=9, vary="between", responders=name)
        k = column(people, "K")
        assert np.all((k > ends[third]) & (k < ends[third + 1]))
        # the same people, in the same order
        np.testing.assert_array_equal(np.argsort(k), np.argsort(column(everybody, "K")))
        others = [j for j, p in enumerate(people.kernel.PARAMETERS) if p != "K"]
        np.testing.assert_array_equal(people.values[:, others], everybody.values[:, others])
        assert people.notes[-1] == (
            f"Responders, {name}: a third of the model's own spread of K, not the classes of "
            "Giovannelli 2021."
        )


def test_who_is_moved_onto_a_bound_is_said():
    people = virtual_subjects(FIT, 500, vary="between", parameters={"tlag": 2.5})
    assert column(people, "tlag").max() == 3.0
    assert people.notes[-1].endswith("% of the subjects have tlag at a bound, 0 or 3 h.")
    assert np.all(people.values <= people.kernel.UPPER)


# ---- where they come from


def test_a_fit_of_ones_own_with_its_result_beside_it(private):
    people = virtual_subjects(private, 5, vary=VARIATION)
    assert people.vary == VARIATION
    assert len(np.unique(column(people, "V"))) == 5
    found = FitResult.read_json(private / "result.json")
    typical = virtual_subjects(private, 1, vary=())
    assert column(typical, "CL")[0] == found.values["CL"]


def test_a_result_is_as_good_as_the_name_of_its_fit(result):
    one, other = (virtual_subjects(given_, 5).values for given_ in (FIT, result))
    np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", ["fit.toml", "data.csv"])
def test_a_result_of_something_else_is_refused(private, tmp_path, name):
    folder = tmp_path / "toy"
    shutil.copytree(private, folder)
    text = (folder / name).read_text(encoding="utf-8")
    before, after = {"fit.toml": ("subjects = 8", "subjects = 9"), "data.csv": (",1.15,", ",1.16,")}[name]
    assert before in text
    (folder / name).write_text(text.replace(before, after), encoding="utf-8")
    with pytest.raises(DataError, match=f"does not belong to .*{name} as it is now: fit again"):
        virtual_subjects(folder, 3)


def test_a_fit_without_a_result_says_how_to_get_one(private, tmp_path):
    shutil.copy(private / "fit.toml", tmp_path)
    with pytest.raises(LibraryError, match=r"holds no result\.json: run `pkpd fit"):
        virtual_subjects(tmp_path, 3)


def test_a_result_without_covariance_varies_by_all_else(private, tmp_path):
    folder = tmp_path / "toy"
    shutil.copytree(private, folder)
    values = json.loads((folder / "result.json").read_text())
    values["covariance"][0][0] = None
    (folder / "result.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match='has no covariance of its estimates: vary without "uncertainty"'):
        virtual_subjects(folder, 3)
    assert len(virtual_subjects(folder, 3, vary=("between", "study"))) == 3


def test_a_body_size_that_nobody_has_is_told_of():
    people = virtual_subjects("low_dose_il2", 20, covariates={"BSA": 1000})
    assert (people.values[:, people.kernel.PARAMETERS.index("BSA")] == 1000).all()
    assert people.notes[-1] == "100 % of the subjects have BSA outside 0.15 to 3.5 m^2, the sizes of people."
    spread_out = virtual_subjects("low_dose_il2", 200, covariates={"BSA": (1.9, 0.4)})
    assert re.match(r"[0-9.]+ % of the subjects have BSA outside", spread_out.notes[-1])
    assert not any("BSA" in note for note in virtual_subjects("low_dose_il2", 20).notes)


@pytest.mark.parametrize(
    ("given_", "sentence"),
    [
        ({"vary": ["betwen"]}, 'cannot vary by "betwen"; did you mean "between"?'),
        ({"study": "IMODAL"}, 'no study "IMODAL"; did you mean "IMODALS"?'),
        ({"study": "IMODALS", "vary": "study"}, "either of the study IMODALS or of a new one"),
        ({"covariates": {"weight": 70}}, 'no covariate "weight"; known are CD4, BSA'),
        ({"covariates": {"EC50": 5}}, 'no covariate "EC50"; known are CD4, BSA, bath, klymph'),
        ({"covariates": {"pct0": 90}}, r"pct0 = 90 is outside its bounds 0.3 .. 40 \[percent\]"),
        ({"covariates": {"BSA": -1.9}}, r"BSA = -1.9 \[m\^2\] must be positive"),
        ({"covariates": {"BSA": 0}}, r"BSA = 0 \[m\^2\] must be positive"),
        ({"covariates": {"BSA": float("nan")}}, "BSA = nan is outside"),
        ({"covariates": {"BSA": (1.9, -0.1)}}, "must be a value, or a median and a log-SD"),
        ({"covariates": {"BSA": (1.9, float("nan"))}}, "must be a value, or a median and a log-SD"),
        ({"covariates": {"BSA": (1.9, 0.1, 3)}}, "must be a value, or a median and a log-SD"),
        ({"covariates": {"K": 3}, "parameters": {"K": 3}}, "K is given both"),
        ({"covariates": {"K": 3}, "responders": "low"}, "spread of K, which is given as a covariate"),
        ({"responders": "medium"}, 'no class of responders "medium"; known are low, moderate, high'),
        ({"responders": "low", "vary": "uncertainty"}, 'vary by "between"'),
        ({"parameters": {"KK": 1.0}}, 'no parameter "KK"'),
        ({"parameters": {"F_sc": 2.0}}, "F_sc = 2.0 is outside its bounds"),
        ({"draws": 0}, "the number of draws must be at least 1, not 0"),
        ({"seed": -1}, "the seed must not be negative"),
        ({"subjects": 0}, "at least 1, not 0"),
        ({"subjects": 10**15}, "1,000,000,000,000,000 subjects are too many: at most 1,000,000"),
        ({"subjects": 2.5}, "virtual_subjects: subjects must be a whole number, not 2.5"),
    ],
)
def test_what_is_not_known_is_refused_with_what_is(given_, sentence):
    with pytest.raises(InputError, match=sentence):
        virtual_subjects(FIT, **({"subjects": 3} | given_))


def test_classes_of_responders_need_a_fitted_spread(private):
    with pytest.raises(InputError, match=r"classes of responders need one parameter .*; there is none"):
        virtual_subjects(private, 3, responders="low")


# ---- bands


def test_bands_are_quantiles_of_the_paths_on_any_number_of_threads():
    people = virtual_subjects(FIT, 150, seed=2, study="IMODALS")
    doses, times = events(people, "1 MIU sc daily x5"), np.array([0.0, 4, 24, 100, 200, 50])
    names, levels = ("treg_pct", "il2"), (0.0, 0.05, 0.5, 1.0)
    done = []
    found = [
        bands(people, doses, times, names, levels, threads=threads, progress=lambda *a: done.append(a))
        for threads in (1, 2, 5)
    ]
    assert done[-1] == ("simulating", 1.0, "150 of 150 subjects")
    for other in found[1:]:
        np.testing.assert_array_equal(found[0].values, other.values)
    outputs = solve(people.kernel, people.values, doses, times, options=Options(rtol=1e-4)).outputs
    columns = [people.kernel.OUTPUTS.index(name) for name in names]
    exact = np.quantile(outputs[:, :, columns], levels, axis=0)
    np.testing.assert_allclose(found[0].values, exact, rtol=0.005)
    assert (found[0].names, found[0].units, found[0].time_unit) == (names, ("percent", "IU/mL"), "h")
    assert (found[0].subjects, found[0].failed) == (150, 0)


def test_failed_subjects_are_counted_and_left_out():
    people = virtual_subjects(FIT, 70, vary="between")
    doses, times = events(people, "1 MIU sc once"), [24.0, 48.0]
    values = people.values.copy()
    values[[3, 68], people.kernel.PARAMETERS.index("V")] = np.nan
    found = bands(dataclasses.replace(people, values=values), doses, times, ["treg_pct"], [0.0, 1.0])
    assert (found.subjects, found.failed) == (70, 2)
    others = dataclasses.replace(people, values=np.delete(people.values, [3, 68], axis=0))
    # a chunk has other neighbours now: the last digits
    np.testing.assert_allclose(
        found.values, bands(others, doses, times, ["treg_pct"], [0.0, 1.0]).values, rtol=1e-9
    )
    values[:] = np.nan
    with pytest.raises(SolverError, match="subject 0 stopped"):
        bands(dataclasses.replace(people, values=values), doses, times, ["treg_pct"])


def test_an_output_that_is_not_there_is_named():
    people = virtual_subjects(FIT, 2)
    with pytest.raises(InputError, match='il2_treg has no output "treg"; it has treg_pct'):
        bands(people, events(people, "none"), [0.0], ["treg"])
    with pytest.raises(InputError, match="quantiles must lie between 0 and 1"):
        bands(people, events(people, "none"), [0.0], ["treg_pct"], [5, 50])
