"""Claim: a model that extends another is the model that one would have written out, and what is wrong with it
is shown in the file, line and column where a person wrote it."""

from dataclasses import replace

import numpy as np
import pytest

import pkpd
from pkpd.core.errors import ModelError
from pkpd.model.check import read_model
from pkpd.model.extend import model_text, whole

BASE = """\
model      one tank          # of water
    source     a book
time       h
parameter  CL = 2 [L/h]  clearance   # Table 1
    bounds     0.1 .. 10
    provenance assumed
parameter  V = 20 [L]  volume
state      A [mg]  amount
    in the body
define     k = CL/V [1/h]
route      iv -> A
d A        = -k*A
output     C = A/V [mg/L]  concentration
output     amount = A [mg]
"""
OWN = """\
# what an effect adds
extends  ./base.model
model    a tank and an effect
    source   another book

replace parameter CL = 3 [L/h]  clearance, higher   # Table 2
    bounds   0.5 .. 5
drop     output amount
parameter kout = 0.1 [1/h]  loss of the effect
parameter per = 0.1 [L/mg]  scale
state    R = 1 [1]  effect
replace  d A = -k*A
             - 0*A
d R      = kout*(1 - C_now - R)
define   C_now = A/V*per [1]
output   effect = R [1]
"""
WRITTEN = """\
model    a tank and an effect
    source   another book
    source     a book
time     h
parameter CL = 3 [L/h]  clearance, higher   # Table 2
    bounds   0.5 .. 5
parameter V = 20 [L]  volume
state    A [mg]  amount in the body
define   k = CL/V [1/h]
route    iv -> A
d A      = -k*A - 0*A
output   C = A/V [mg/L]  concentration
parameter kout = 0.1 [1/h]  loss of the effect
parameter per = 0.1 [L/mg]  scale
state    R = 1 [1]  effect
d R      = kout*(1 - C_now - R)
define   C_now = A/V*per [1]
output   effect = R [1]
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "base.model").write_text(BASE)
    (tmp_path / "own.model").write_text(OWN)
    (tmp_path / "written.model").write_text(WRITTEN)
    return tmp_path


def test_it_is_the_model_that_one_would_have_written_out(folder):
    own, written = (read_model(*model_text(folder / f"{name}.model")) for name in ("own", "written"))
    for part in ("title", "sources", "time_unit", "equations"):
        assert getattr(own, part) == getattr(written, part), part
    for part in ("parameters", "states", "definitions", "routes", "outputs"):
        found, wanted = ([replace(item, line=0) for item in getattr(m, part)] for m in (own, written))
        assert found == wanted, part
    profiles = [
        pkpd.simulate(str(folder / f"{name}.model"), "100 mg iv every 12 h x3", np.linspace(0, 48, 25))
        for name in ("own", "written")
    ]
    for output in ("C", "effect"):
        np.testing.assert_array_equal(profiles[0][output], profiles[1][output])


def test_cautions_of_the_base_stay_and_those_of_ones_own_come_behind_them(folder):
    (folder / "base.model").write_text(f"{BASE}caution one trial\ncaution an assumption\n")
    (folder / "own.model").write_text(f"caution post hoc\n{OWN}")
    found = read_model(*model_text(folder / "own.model"))
    assert found.cautions == ("one trial", "an assumption", "post hoc")


def test_a_caution_of_the_base_is_not_said_again(folder):
    (folder / "base.model").write_text(f"{BASE}caution one trial\n")
    (folder / "own.model").write_text(f"{OWN}caution one trial\n")
    with pytest.raises(ModelError) as error:
        read_model(*model_text(folder / "own.model"))
    first, *_ = str(error.value).splitlines()
    line, base = len(OWN.splitlines()) + 1, len(BASE.splitlines()) + 1
    where = f"{folder / 'own.model'}:{line}:9: this caution stands twice"
    assert first == f"{where}, first in line {base} of base.model"


def test_a_whole_text_needs_no_other_file_and_is_its_own(folder):
    text, file = model_text(folder / "own.model")
    (folder / "base.model").unlink()
    assert whole(text, file) == text
    assert read_model(text, "elsewhere.model").title == "a tank and an effect"
    assert whole(BASE, "base.model") == BASE


def test_one_that_is_extended_may_extend_another(folder):
    (folder / "third.model").write_text(
        "extends ./own.model\nreplace state R = 2 [1]\nreplace output effect = 2*R [1]\n"
    )
    found = read_model(*model_text(folder / "third.model"))
    assert [state.name for state in found.states] == ["A", "R"]
    assert found.title == "a tank and an effect"
    assert [output.name for output in found.outputs] == ["C", "effect"]


def test_a_shipped_model_is_extended_by_its_name(folder):
    (folder / "k.model").write_text("extends one_compartment_iv\noutput twice = 2*central/V [mg/L]\n")
    profile = pkpd.simulate(str(folder / "k.model"), "100 mg iv once", [1.0])
    np.testing.assert_array_equal(profile["twice"], 2 * profile["C"])


def test_another_base_makes_another_kernel(folder):
    before = pkpd.load(folder / "own.model")
    (folder / "base.model").write_text(BASE.replace("V = 20", "V = 10"))
    after = pkpd.load(folder / "own.model")
    assert before is not after
    assert after.VALUES[after.PARAMETERS.index("V")] == 10


WRONG = {
    "nothing of this name": ("extends two_tanks", "2:9: there is no model"),
    "a file that is not there": ("extends ./bse.model", "2:9: there is no file"),
    "itself": ("extends ./own.model", "2:9: own.model extends this model itself"),
    "twice": ("extends ./base.model\nextends ./base.model", '3:1: "extends" stands twice, first in line 2'),
    "none named": ("extends", '2:1: "extends" is empty'),
    "none": ("replace d A = -A", '2:1: "replace" changes a model that this one extends'),
    "none to drop from": ("drop output C", '2:1: "drop" changes a model that this one extends'),
    "a name that stands there": (
        "extends ./base.model\nparameter V = 3 [L]",
        '3:11: "V" stands in ./base.model already',
    ),
    "an equation that stands there": ("extends ./base.model\nd A = -A", '3:3: "A" stands in ./base.model'),
    "a misspelt replacement": (
        "extends ./base.model\nreplace parameter CLl = 3 [L/h]",
        '3:19: ./base.model has no parameter, covariate, state or definition "CLl"',
    ),
    "no such equation": (
        "extends ./base.model\nreplace d V = 1",
        '3:11: ./base.model has no equation of "V"',
    ),
    "no such output": ("extends ./base.model\ndrop output D", '3:13: ./base.model has no output "D"'),
    "nothing dropped": ("extends ./base.model\ndrop C", "3:6: it is not said what is dropped"),
    "changed twice": (
        "extends ./base.model\ndrop output C\nreplace output C = A [mg]",
        '4:16: "C" is changed twice',
    ),
    "another time": ("extends ./base.model\ntime d", "3:1: the time is that of ./base.model"),
    "a source replaced": ("extends ./base.model\nreplace source x", '3:9: "source" cannot be replaced'),
    "a caution replaced": ("extends ./base.model\nreplace caution x", '3:9: "caution" cannot be replaced'),
    "a caution dropped": ("extends ./base.model\ndrop caution x", "3:6: it is not said what is dropped"),
    "what the checker finds in what is new": (
        "extends ./base.model\n\noutput D = A/W [mg/L]",
        '4:14: unknown name "W"',
    ),
    "what it finds in a replacement": (
        "extends ./base.model\nreplace output C = A/W [mg/L]",
        '3:22: unknown name "W"',
    ),
    "a word that is none": ("extends ./base.model\nreplace outptu C = A", '3:9: unknown statement "outptu"'),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_shown_where_it_was_written(folder, case):
    text, message = WRONG[case]
    file = folder / "own.model"
    file.write_text(f"# mine\n{text}\n")
    with pytest.raises(ModelError) as error:
        read_model(*model_text(file))
    first, shown, caret, *_ = str(error.value).splitlines()
    assert first.startswith(f"{file}:{message}"), first
    line, column = (int(number) for number in first.removeprefix(f"{file}:").split(":")[:2])
    written = file.read_text().splitlines()[line - 1]
    assert shown.endswith(f"| {written}") or written == ""
    assert caret.index("^") - caret.index("|") - 2 == column - 1


def test_what_no_longer_fits_in_the_base_is_shown_there(folder):
    (folder / "own.model").write_text("extends ./base.model\ndrop define k\n")
    with pytest.raises(ModelError, match=r'base\.model:12:15: unknown name "k"'):
        read_model(*model_text(folder / "own.model"))


def test_a_circle_is_refused(folder):
    (folder / "base.model").write_text("extends ./own.model\n")
    with pytest.raises(ModelError, match=r"own\.model extends this model itself, or one that does"):
        read_model(*model_text(folder / "own.model"))
