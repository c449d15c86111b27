"""The text of a design is read strictly: what is wrong is named with its place and what would be right."""

import re
from pathlib import Path

import pytest

from pkpd.core import library
from pkpd.core.errors import DataError, InputError
from pkpd.trial.design import parse_design, read_design
from pkpd.trial.kinds import KINDS

PAGE = (Path(__file__).parents[2] / "docs" / "trials.md").read_text(encoding="utf-8")

DESIGN = """\
model = "one_compartment_iv"
horizon = 100
[[arm]]
name = "placebo"
n = 10
schedule = "none"
[[arm]]
name = "drug"
n = 10
schedule = "100 mg iv every 24 h x4"
[covariates]
V = { median = 30, log_sd = 0.2 }
[[stratum]]
name = "small"
covariate = "V"
to = 30
[visits]
days = [0, 1, 4]
[measured.C]
proportional = 0.1
[event]
hazard = "death"
[[analysis]]
name = "level"
kind = "change"
output = "C"
visit = 4
[[analysis]]
name = "death"
kind = "cox"
"""


@pytest.mark.parametrize("name", library.trials())
def test_designs_of_the_library_are_read_and_say_where_their_numbers_are_from(name):
    design = read_design(name)
    assert design.title
    assert design.source
    assert design.notes
    assert design.primary
    for row in design.published:
        assert row.source or row.provenance == "derived", row.name


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("horizon = 100", "horizn = 100", 'unknown key "horizn"; did you mean "horizon"'),
        ("horizon = 100", 'horizon = "100"', "horizon must be a number"),
        ('model = "one_compartment_iv"', "", 'name either model = "..." or fit'),
        ('model = "one_compartment_iv"', 'model = "a"\nfit = "b"', 'name either model = "..." or fit'),
        ("n = 10\nschedule = \"none\"", 'schedule = "none"', "[[arm]] placebo: n = ... is needed"),
        ('name = "drug"', 'name = "placebo"', 'two of [[arm]] are called "placebo"'),
        ("every 24 h", "evry 24 h", "[[arm]] drug: schedule"),
        ("log_sd = 0.2", "sd = 0.2", "[V]: give median and log_sd, or mean and sd"),
        ("log_sd = 0.2", "log_sd = 0.2, from = 4, to = 3", "from = 4 must be below to = 3"),
        ('covariate = "V"', 'covariate = "W"', '"W" stands not under [covariates]'),
        ("days = [0, 1, 4]", "days = [0, 4, 1]", "days must be numbers, each larger than the one before"),
        ("days = [0, 1, 4]", "days = [0, 4, 101]", "day 101 lies outside of the trial"),
        ("proportional", "propotional", 'did you mean "proportional"'),
        ('kind = "change"', 'kind = "chnge"', 'did you mean "change"'),
        ('output = "C"', 'output = "D"', 'no measured output "D"'),
        ("visit = 4", "visit = 3", "there is no visit on day 3; visits are on 0, 1, 4"),
        ("visit = 4", "", "visit = ... is needed"),
        ("visit = 4", 'visit = 4\nwithin = "smal"', 'no stratum "smal"; did you mean "small"'),
        ("visit = 4", 'visit = 4\narm = "placebo"', 'no arm beside the control "placebo"'),
        ("visit = 4", "visit = 4\nadjusted_by = []", 'unknown key "adjusted_by"'),
        ('kind = "cox"', 'kind = "cox"\nadjusted_by = ["W"]', 'no covariate or measured output "W"'),
        ('hazard = "death"', "", 'kind = "cox" needs [event]'),
        ('name = "death"', 'name = "level"', 'two of [[analysis]] are called "level"'),
        ("horizon = 100", 'horizon = 100\nprimary = "deth"', 'primary = "deth" is no analysis'),
        ("horizon = 100", 'horizon = 100\norigin = "start"', 'origin = "start"; known are randomisation'),
        ("[event]", '[run_in]\ndays = 200\n[event]', None),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_key(old, new, words):
    assert old in DESIGN
    text = DESIGN.replace(old, new, 1)
    if words is None:  # a run-in is before randomisation, and may be as long as it likes
        assert parse_design(text).run_in == 200
        return
    with pytest.raises(DataError) as caught:
        parse_design(text)
    assert words in str(caught.value)
    assert "trial.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ('analysis = "levl"\nquantity = "mean"', 'no analysis "levl"; did you mean "level"'),
        ('analysis = "level"\nquantity = "hr"', '"level" has no quantity "hr"; known are n, mean, sd'),
        ('analysis = "level"\nquantity = "mean"', 'is a number of an arm: arm = "placebo" or "drug"'),
        ('analysis = "death"\nquantity = "interaction"', '"death" has no quantity "interaction"'),
        ('analysis = "death"\nquantity = "hr"\narm = "placebo"', 'is a number of an arm: arm = "drug"'),
        ('analysis = "death"\nquantity = "hr"\ninterval = [2, 1]', "the wrong way round"),
        ('analysis = "death"\nquantity = "hr"\nprovenance = "rumour"', 'provenance = "rumour"'),
        ('analysis = "death"\nquantity = "hr"\nvalue = "about 1"', "must be a number, or a bound"),
    ],
)
def test_a_published_number_names_one_number_of_one_analysis(row, words):
    value = "" if "value" in row else "value = 1\n"
    provenance = "" if "provenance" in row else 'provenance = "reported"\n'
    with pytest.raises(DataError) as caught:
        parse_design(f'{DESIGN}[[published]]\nname = "x"\n{row}\n{value}{provenance}')
    assert words in str(caught.value)


def test_the_only_arm_that_a_number_can_be_of_need_not_be_named():
    row = '[[published]]\nname = "x"\nanalysis = "death"\nquantity = "hr"\nvalue = "< 0.9"\n'
    (found,) = parse_design(DESIGN + row + 'provenance = "reported"\n').published
    assert (found.arm, found.bound, found.value, found.shown) == ("drug", "<", 0.9, "< 0.9")


def test_a_design_may_extend_another(tmp_path):
    (tmp_path / "base.toml").write_text(DESIGN, encoding="utf-8")
    (tmp_path / "longer.toml").write_text('extends = "base"\nhorizon = 200\n', encoding="utf-8")
    base, longer = (read_design(tmp_path / f"{name}.toml") for name in ("base", "longer"))
    assert (longer.name, longer.horizon) == ("longer", 200)
    assert longer.analyses[0].output == base.analyses[0].output
    more = 'extends = "base"\nfit = "low_dose_il2"\n[measured.D]\n'
    more += '[[arm]]\nname = "drug"\nn = 20\nschedule = "none"\n'
    more += '[[arm]]\nname = "third"\nn = 5\nschedule = "none"\n'
    (tmp_path / "more.toml").write_text(more, encoding="utf-8")
    found = read_design(tmp_path / "more.toml")
    assert [(arm.name, arm.n) for arm in found.arms] == [("placebo", 10), ("drug", 20), ("third", 5)]
    assert [one.output for one in found.measured] == ["C", "D"]
    assert (found.model, found.fit) == ("", "low_dose_il2")
    (tmp_path / "base.toml").write_text('extends = "longer"\n', encoding="utf-8")
    with pytest.raises(DataError, match="circle"):
        read_design(tmp_path / "longer.toml")
    (tmp_path / "longer.toml").write_text('extends = "bse"\n', encoding="utf-8")
    with pytest.raises(InputError, match='no trial "bse"'):
        read_design(tmp_path / "longer.toml")


@pytest.mark.parametrize("names", [("one", "one"), ("one", "[1]")])
def test_names_by_which_a_design_is_joined_are_distinct_texts(tmp_path, names):
    (tmp_path / "base.toml").write_text(DESIGN, encoding="utf-8")
    given = [f'[[analysis]]\nname = {"[1]" if name == "[1]" else repr(name)}\nkind = "logrank"\n'
             for name in names]  # fmt: skip
    (tmp_path / "more.toml").write_text('extends = "base"\n' + "".join(given), encoding="utf-8")
    with pytest.raises(DataError, match=r'two of \[\[analysis\]\] are called "one"|name must be a text'):
        read_design(tmp_path / "more.toml")


def test_trials_md_has_every_key_of_a_design():
    with pytest.raises(DataError) as error:
        parse_design("wrong = 1")
    keys = str(error.value).partition("known are ")[2].split(", ")
    assert len(keys) > 15
    assert [key for key in keys if not re.search(rf"`\[*{key}\b", PAGE)] == []


@pytest.mark.parametrize(
    ("title", "table"),
    [
        ("### Adverse events", '[[adverse]]\nname = "x"\nunit = "mg"\n'),
        ("### Interim looks", '[monitoring]\nanalysis = "death"\nplanned = 9\n[[look]]\nname = "x"\n'),
        ("### Interim looks", '[[look]]\nname = "x"\nafter = 0.5\n[monitoring]\nanalysis = "death"\n'),
    ],
)
def test_trials_md_has_every_key_of_adverse_events_and_looks(title, table):
    with pytest.raises(DataError) as error:
        parse_design(f"{DESIGN}{table}wrong = 1\n")
    keys = str(error.value).partition("known are ")[2].split(", ")
    said = PAGE.partition(f"{title}\n")[2].partition("\n### ")[0]
    assert len(keys) > 3
    assert [key for key in keys if f"`{key}`" not in said] == []


def test_trials_md_has_every_kind_of_analysis_with_its_keys_and_quantities():
    lines = {
        line.split("`")[1]: line for line in PAGE.splitlines() if re.match(r"\| `\w+` \|.*\|.*\|.*\|", line)
    }
    hidden = {"arm", "baseline", "lower", "upper", "n", *KINDS["change"].keys}
    for kind, (keys, quantities, *_) in KINDS.items():
        for word in {*keys, *quantities} - hidden:
            assert f"`{word}`" in lines[kind], (kind, word)
