"""How to integrate is said by options; where it is not, a sentence says where it belongs."""

import numpy as np
import pytest
from solving import events, kernel

from pkpd.core.errors import InputError
from pkpd.solver import Options, solve
from pkpd.solver.options import HOW


@pytest.mark.parametrize("name", HOW)
def test_what_belongs_to_the_options_is_sent_there(name):
    k = kernel("one_compartment_iv")
    with pytest.raises(InputError, match=rf"give it as options=pkpd.Options\({name}="):
        solve(k, k.VALUES, events(k), [1.0], **{name: 1})


def test_what_there_is_not_is_no_argument():
    k = kernel("one_compartment_iv")
    with pytest.raises(TypeError, match="unexpected keyword argument 'tolerance'"):
        solve(k, k.VALUES, events(k), [1.0], tolerance=1)


WRONG = {
    "rtol must lie between 0 and 1": {"rtol": 1.5},
    "rtol must be": {"rtol": "small"},
    "unknown method": {"method": "euler"},
    "h_max, the longest step": {"h_max": 0.0},
    "h_max": {"h_max": np.nan},
    "max_steps must be": {"max_steps": 1.5},
    "threads must be": {"threads": "two"},
}


@pytest.mark.parametrize("sentence", WRONG)
def test_options_that_cannot_be_are_refused_when_they_are_made(sentence):
    with pytest.raises(InputError, match=sentence):
        Options(**WRONG[sentence])


def test_options_are_a_value():
    assert Options(rtol=1e-8) == Options(rtol=1e-8) != Options()
