"""The designs of the trials in ALS run on any model with their outputs: here on a stand-in, in which the drug
does what the design's interaction says."""

import math

import numpy as np
import pytest

import pkpd as package

STAND_IN = """\
model      a disease on top of Tregs, for tests: its numbers are invented
extends    il2_treg
covariate  pNFH = 2030 [pg/mL]  neurofilament                      # invented
parameter  h0 = 0.00004 [1/h]  hazard at a pNFH of 2,030  ~ lognormal(0.3)   # invented
    bounds 0 .. 1
parameter  b_nf = 0.9 [1]  log hazard per log pNFH                 # invented
parameter  b_drug = -1.14 [1]  log hazard ratio at a pNFH of 0     # invented
parameter  b_both = 0.0003 [mL/pg]  and by how much it rises       # invented
parameter  treated = 0.03 [1]  Treg excess that is taken for treatment  # invented
parameter  decline = 0.00125 [1/h]  points lost  ~ lognormal(0.5)  # invented
    bounds 0 .. 1
define     usual = 2030 [pg/mL]
define     on = E/(treated + E) [1]
define     drive = b_nf*log(pNFH/usual) + on*(b_drug + b_both*pNFH) [1]
hazard     death = h0*exp(drive) [1/h]
parameter  kE = 0.0005 [1/h]  memory of the Treg excess            # invented
state      E = 0 [1]
state      points = 40 [1]
d E        = kE*(excess - 1 - E)
d points   = -decline*exp(0.3*drive)
output     alsfrs = points [1]
output     nfl = pNFH [pg/mL]
output     suppression = F [1]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("als")
    (path / "stand_in.model").write_text(STAND_IN, encoding="utf-8")
    return path


def simulated(folder, name, trials):
    file = folder / f"{name}_here.toml"
    file.write_text(f'extends = "{name}"\nmodel = "stand_in.model"\n', encoding="utf-8")
    return package.simulate_trial(file, trials, seed=1)


def test_mirocals_runs_and_every_published_number_has_its_prediction(folder):
    result = simulated(folder, "mirocals", 12)
    assert "primary analysis of MIROCALS was negative" in result.notes[0]
    rows = [row for row in result.rows() if row.published]
    assert len(rows) == len(result.design.published) == 15
    assert all(math.isfinite(row.median) and row.inside is not None for row in rows)
    shares = [result.numbers[f"patients, pNFH {part}", "n", ""].mean() / 220 for part in
              ("750 to 3,700", "above 3,700")]  # fmt: skip
    assert shares == pytest.approx([0.70, 0.21], abs=0.03)
    # the effect that was put in is found where it was put in
    low, high = (np.median(result.numbers[f"pNFH {part}", "hr", "2 MIU"]) for part in
                 ("750 to 3,700", "above 3,700"))  # fmt: skip
    assert low < high
    assert np.median(result.numbers["adjusted", "interaction", "2 MIU"]) > 1
    assert np.median(result.numbers["adjusted", "hr", "2 MIU"]) < low
    assert result.curves.days[0] == 92


def test_from_randomisation_more_people_die(folder):
    later = simulated(folder, "mirocals_from_randomisation", 6)
    first = simulated(folder, "mirocals", 6)
    assert (later.numbers["deaths", "events", ""] >= first.numbers["deaths", "events", ""]).all()
    assert later.curves.days[0] == 0
    assert later.design.follow_up == 640
    assert first.design.follow_up == 548


def test_imodals_with_the_disease_runs(folder):
    result = simulated(folder, "imodals_als", 6)
    rows = [row for row in result.rows() if row.published]
    assert len(rows) == len(package.read_design("imodals").published) + 3
    assert {"alsfrs", "nfl", "suppression", "treg_pct"} <= set(result.visits.outputs)
