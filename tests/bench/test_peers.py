"""No peer is dropped without a word: what is missing is listed, with the reason."""

from benchmarks.problems import PROBLEMS
from pkpd.bench import peers, precision


def test_a_missing_peer_is_reported_and_not_dropped():
    missing = peers.Peer("nobody's solver", "by_nobody", ("a_module_that_nobody_has",))
    found = peers.installed((*peers.PEERS, missing))
    assert list(found)[-1] == "nobody's solver"
    assert found["nobody's solver"].startswith(
        "not installed: No module named 'a_module_that_nobody_has' (pip install"
    )
    assert len(found) == len(peers.PEERS) + 1


def test_who_reads_equations_is_not_asked_for_functions():
    found = peers.asked(functions_only=True)
    assert list(found) == [peer.library for peer in peers.PEERS]
    for peer in peers.PEERS:
        shown = found[peer.library]
        if peer.equations:
            assert shown.startswith(("not installed", "not asked"))
        else:
            assert not shown.startswith("not asked")


def test_a_peer_that_fails_at_one_tolerance_keeps_the_others(monkeypatch):
    problem = PROBLEMS["lotka_volterra"]

    def solve(rtol, atol):
        if rtol == 1e-3:  # at which everyone is called first
            raise ArithmeticError
        return precision.own(problem, "vern7")(rtol, atol)

    monkeypatch.setattr(precision, "solvers", lambda task, only: {"SciPy fragile": lambda: solve})
    curves, _ = precision.measure(problem, (1e-3, 1e-5), 1, 0.2, None)
    assert {point[0] for point in curves["SciPy fragile"].points} == {1e-5}
    assert curves["SciPy fragile"].failure == "rtol 0.001: ArithmeticError"
