"""The designs of the trials in ALS run on the model of ALS, at an effect that is put in."""

import math

import numpy as np
import pytest

import pkpd as package


@pytest.fixture
def simulated(tmp_path):
    """Trials of a design of the library, at other values of parameters."""

    def run(name, trials, **parameters):
        values = "".join(f"{key} = {value}\n" for key, value in parameters.items())
        file = tmp_path / f"{name}_here.toml"
        file.write_text(f'extends = "{name}"\n[parameters]\n{values}', encoding="utf-8")
        return package.simulate_trial(file, trials, seed=1)

    return run


def test_mirocals_runs_and_every_published_number_has_its_prediction(simulated):
    result = simulated("mirocals", 12, effect=-0.6, effect_pNFH=0.8)
    assert "primary analysis of MIROCALS was negative" in result.notes[0]
    rows = [row for row in result.rows() if row.published]
    assert len(rows) == len(result.design.published) == 15
    assert all(math.isfinite(row.median) and row.inside is not None for row in rows)
    assert next(row for row in rows if row.quantity == "interaction").digits > 4
    shares = [result.numbers[f"patients, pNFH {part}", "n", ""].mean() / 220 for part in
              ("750 to 3,700", "above 3,700")]  # fmt: skip
    assert shares == pytest.approx([0.70, 0.21], abs=0.03)
    # the effect that was put in is found where it was put in
    low, high = (np.median(result.numbers[f"pNFH {part}", "hr", "2 MIU"]) for part in
                 ("750 to 3,700", "above 3,700"))  # fmt: skip
    assert low < 0.8 < high
    assert np.median(result.numbers["adjusted", "interaction", "2 MIU"]) > 1
    assert np.median(result.numbers["adjusted", "hr", "2 MIU"]) < low
    assert result.curves.days[0] == 92


@pytest.mark.long
def test_either_reading_of_the_640_days_has_a_fit_of_its_own_to_the_same_deaths(simulated):
    later = simulated("mirocals_from_randomisation", 20)
    first = simulated("mirocals", 20)
    deaths = [np.mean(one.numbers["deaths", "events", ""]) for one in (later, first)]
    assert deaths == pytest.approx([90, 90], abs=15)
    assert later.design.fit != first.design.fit
    assert later.curves.days[0] == 0
    assert later.design.follow_up == 640
    assert first.design.follow_up == 548


def test_imodals_with_the_disease_runs(simulated):
    result = simulated("imodals_als", 6)
    assert any(line.startswith("The primary analysis of MIROCALS was negative") for line in result.notes)
    rows = [row for row in result.rows() if row.published]
    assert len(rows) == len(package.read_design("imodals").published) + 3
    assert {"alsfrs", "nfl", "suppression", "treg_pct"} <= set(result.visits.outputs)
