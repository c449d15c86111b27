"""What `pkpd simulate` says is the largest is that of the whole course, wherever it hides between output
times; its picture shows every peak; what is no number is counted."""

import json
import math

import numpy as np
import pytest
from typer.testing import CliRunner

from pkpd.cli import app
from pkpd.model.check import read_model
from pkpd.simulation.cohort import simulate_records
from pkpd.simulation.profile import peaks_and_troughs, simulate
from pkpd.solver.kernel import load

ORAL = """
model      one compartment by mouth
time       h
parameter  ka = 2.5 [1/h]
parameter  k = 0.2 [1/h]
parameter  V = 26 [L]
state      depot [mg]
state      x [mg]
route      oral -> depot
route      iv -> x
d depot = -ka*depot
d x     = ka*depot - k*x
output     C = x/V [mg/L]
"""

ENDS = """
model      a logarithm that ends, and a quotient
time       h
parameter  r = 0.3 [1/h]
state      x = 1 [1]
define     one = 1 [1]
define     hour = 1 [h]
route      iv -> x
d x = -r
output     y = log(x) [1]
output     never = sqrt(-one - x*x) [1]
output     z = x [1]
"""


def command(*words):
    result = CliRunner().invoke(app, ["simulate", *words])
    return result.exit_code, result.output


@pytest.fixture
def oral(tmp_path):
    file = tmp_path / "oral.model"
    file.write_text(ORAL, encoding="utf-8")
    return str(file)


@pytest.mark.parametrize("method", ["auto", "rodas5p", "vern7", "linear"])
def test_the_largest_is_that_of_the_course_and_not_of_its_output_times(oral, method):
    """A year of daily doses at steady state: the times of a table hit no peak."""
    k, ka, dose = 0.2, 2.5, 100 / 26
    found = simulate(
        oral, "100 mg oral daily x365", np.arange(0.0, 9000.0, 12.0), extremes=True, method=method
    )
    after = np.log(ka * -np.expm1(-24 * k) / (k * -np.expm1(-24 * ka))) / (ka - k)
    peak = (
        dose
        * ka
        / (ka - k)
        * (np.exp(-k * after) / -np.expm1(-24 * k) - np.exp(-ka * after) / -np.expm1(-24 * ka))
    )
    assert found.largest[0, 0] == pytest.approx(peak, rel=1e-5)
    assert found.largest_at[0, 0] % 24.0 == pytest.approx(after, rel=1e-2)
    assert found["C"].max() < 0.6 * peak
    code, out = command(oral, "100 mg oral daily x365", "--json", "--method", method)
    assert code == 0
    assert json.loads(out)["outputs"]["C"]["maximum"]["median"] == pytest.approx(peak, rel=1e-5)


def test_cycles_two_years_long_keep_their_peak():
    first = simulate("il2_treg", "1 MIU sc once", times=np.linspace(0.0, 24.0, 4801))["il2"].max()
    code, out = command("il2_treg", "1 MIU sc daily x5 every 28 d x26", "--json")
    assert code == 0 and json.loads(out)["outputs"]["il2"]["maximum"]["median"] == pytest.approx(
        first, rel=1e-4
    )


def test_a_picture_has_every_peak_and_trough(oral):
    k = load(read_model(ORAL, "oral.model"))
    schedule = simulate(k, "100 mg oral daily x30").schedule
    times = peaks_and_troughs(k, schedule, ["C"], 900.0)
    found = simulate(k, schedule, times)["C"][0]
    fine = simulate(k, schedule, np.arange(0.0, 900.0, 0.02))
    for day in range(30):
        window, dense = (
            (times >= 24 * day) & (times <= 24 * day + 24),
            (fine.times >= 24 * day) & (fine.times < 24 * day + 24),
        )
        assert found[window].max() == pytest.approx(fine["C"][0][dense].max(), rel=1e-4)
        assert found[window].min() == pytest.approx(fine["C"][0][dense].min(), rel=3e-3, abs=1e-9)


def test_what_is_no_number_is_counted_and_said(tmp_path):
    file = tmp_path / "ends.model"
    file.write_text(ENDS, encoding="utf-8")
    words = (str(file), "none", "--until", "4 h", "--every", "1 h")
    code, out = command(*words, "--json")
    outputs = json.loads(out)["outputs"]
    assert code == 0 and outputs["y"]["not_finite"] == {"nan": 1, "infinite": 0, "of": 5, "first": 4.0}
    assert outputs["never"]["not_finite"]["nan"] == 5 and "not_finite" not in outputs["z"]
    assert outputs["y"]["maximum"]["median"] == 0.0 and outputs["never"]["maximum"]["median"] is None
    code, out = command(*words)
    assert code == 0 and "nan" not in out
    assert "never: of 5 values 5 not a number, the first at 0 h; they are left out above" in " ".join(
        out.split()
    )
    assert simulate(str(file), "none", [0.0, 4.0]).summary().shape[0] == 6


def test_a_data_file_whose_outputs_are_no_numbers_has_a_summary(tmp_path):
    (tmp_path / "ends.model").write_text(ENDS, encoding="utf-8")
    (tmp_path / "trial.csv").write_text(
        "ID,TIME,EVID,AMT,ROUTE\n1,0,0,,\n1,4,0,,\n2,0,0,,\n2,2,0,,\n", encoding="utf-8"
    )
    found = simulate_records(str(tmp_path / "ends.model"), str(tmp_path / "trial.csv")).summary()["outputs"]
    assert math.isnan(found["never"]["maximum"]["median"]) and found["never"]["not_finite"]["nan"] == 4
    assert found["y"]["not_finite"] == {"nan": 1, "infinite": 0, "of": 4, "first": 4.0}
    assert found["z"]["maximum"] == {"median": 1.0, "least": 1.0, "most": 1.0}
    code, out = command(str(tmp_path / "ends.model"), str(tmp_path / "trial.csv"))
    assert code == 0 and "none" in out and "y: of 4 values 1 not a number" in " ".join(out.split())


def test_the_largest_of_a_data_file_lies_between_its_observations(tmp_path, oral):
    (tmp_path / "trial.csv").write_text(
        "ID,TIME,EVID,AMT,ROUTE\n1,0,1,100,oral\n1,24,0,,\n", encoding="utf-8"
    )
    found = simulate_records(oral, str(tmp_path / "trial.csv")).summary()["outputs"]["C"]["maximum"]["median"]
    after = np.log(12.5) / 2.3
    assert found == pytest.approx(
        100 / 26 * 2.5 / 2.3 * (np.exp(-0.2 * after) - np.exp(-2.5 * after)), rel=1e-5
    )
