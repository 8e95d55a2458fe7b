"""The bit-plane engine against the scalar machine on random programs: the same cycles, links, memories and errors."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.engines.programs import PLAIN, RICH, TYPICAL, Case, cases
from tests.engines.scalar_machine import Finished, simulate
from wse_emu.engines.wavelet import Machine
from wse_emu.engines.wavelet.engine import Outcome
from wse_emu.errors import WseError

REFUSED = {
    "two inputs": "two inputs",
    "two instructions": "two instructions",
    "ninth microthread": "microthreads",
    "more than 8 background": "microthreads",
    "deadlock": "deadlock",
}
"""What an error of either says, and what it is about."""


def reason(error: WseError) -> str:
    return next((about for said, about in REFUSED.items() if said in str(error)), str(error))


def by_engine(case: Case) -> Outcome | str:
    try:
        return Machine(case.program, case.start, case.seed).run()
    except WseError as error:
        return reason(error)


def by_scalar(case: Case) -> Finished | str:
    try:
        found = simulate(case.program, case.start, case.seed)
    except WseError as error:
        return reason(error)
    return "deadlock" if found.deadlocked else found


def compare(case: Case) -> None:
    expected, found = by_scalar(case), by_engine(case)
    event(expected if isinstance(expected, str) else "came to an end")
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected
        return
    np.testing.assert_array_equal(found.clock, expected.clock)
    np.testing.assert_array_equal(found.links, expected.links)
    assert found.left_over == expected.left_over
    assert found.cycles == expected.clock.max()
    if expected.memory is not None:
        np.testing.assert_array_equal(found.memory, expected.memory)


def slowed(case: Case, times: int) -> Case:
    """The same with computations and starts that are ``times`` as long: colors come to rest in between."""
    told = case.program.code.instructions
    told[:] = [replace(one, wavelets=one.wavelets * times) if one.kind == "compute" else one for one in told]
    return replace(case, start=None if case.start is None else case.start * times)


LONE = replace(PLAIN, memory=0, background=0)
"""Without microthreads and payloads, as about half of these are, colors come to rest when nothing happens on them."""
FEATURES = {"plain": PLAIN, "typical": TYPICAL, "rich": RICH}


@pytest.mark.parametrize("name", FEATURES)
@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_programs_run_as_on_the_scalar_machine(name: str, data: st.DataObject) -> None:
    compare(data.draw(cases(FEATURES[name])))


@settings(max_examples=15, deadline=None)
@given(case=cases(LONE))
def test_programs_that_rest_run_as_on_the_scalar_machine(case: Case) -> None:
    compare(slowed(case, 40))


@pytest.mark.slow
@pytest.mark.parametrize("name", FEATURES)
@settings(max_examples=130, deadline=None)
@given(data=st.data())
def test_many_programs_run_as_on_the_scalar_machine(name: str, data: st.DataObject) -> None:
    compare(data.draw(cases(FEATURES[name], most=(6, 8))))


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(case=cases(LONE, most=(6, 8)), times=st.integers(1, 60))
def test_many_programs_that_rest_run_as_on_the_scalar_machine(case: Case, times: int) -> None:
    compare(slowed(case, times))
