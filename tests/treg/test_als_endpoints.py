"""The endpoints of the fit of ALS: all that the drug effect of one trial moves is shown on request only."""

import csv
import re

import numpy as np
import pytest

import pkpd
from pkpd.decision.criteria import criteria_of, fields
from pkpd.inference import read_fit
from pkpd.solver.kernel import load

DAYS = 24.0 * np.arange(0.0, 170.0, 5.0)


@pytest.fixture(scope="module")
def criteria():
    return criteria_of(read_fit("als"), load("als"))


def test_every_output_that_the_effect_on_the_hazard_moves_is_of_the_group_and_no_other(criteria):
    none, some = (
        pkpd.simulate("als", "2 MIU sc daily x5 every 28 d x3", times=DAYS, parameters={"effect": effect})
        for effect in (0.0, -0.5)
    )
    moved = [
        name
        for k, name in enumerate(none.names)
        if not np.allclose(none.outputs[..., k], some.outputs[..., k], rtol=1e-4, atol=1e-12)
    ]
    (group,) = criteria.on_request
    assert group.group == "clinical" and set(moved) == set(group.outputs)


def test_it_has_the_endpoints_of_il2_suppression_and_two_clinical_ones(criteria):
    (field,) = (field for field in fields() if field.name == "treg")
    own = criteria.endpoints[len(field.criteria.endpoints) :]
    assert [(one.name, one.group == "clinical") for one in own] == [
        ("suppression mean fold", False),
        ("alive at the end", True),
        ("ALSFRS-R change", True),
    ]
    assert all(one.better == 1 and one.relevant and one.relevant.reason for one in own)
    assert {"alsfrs", "survival_death"} <= set(criteria.page) & set(criteria.report)


def test_the_words_say_that_the_primary_analysis_was_negative_with_the_numbers_of_the_data(criteria):
    spec = read_fit("als")
    with open(spec.data, encoding="utf-8", newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["row"] == "mirocals_hr")
    words = " ".join(criteria.on_request[0].rests_on)
    said = re.search(r"analysis .* was negative \(hazard ratio ([\d.]+), ([\d.]+) to ([\d.]+)\)", words)
    assert said and [float(number) for number in said.groups()] == pytest.approx(
        [float(row["value"]), float(row["lower"]), float(row["upper"])], abs=0.008
    )
    assert "post hoc" in words and "not medical advice" in words
