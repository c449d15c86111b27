"""No peer is dropped without a word: what is missing is listed, with the reason."""

from pkpd.bench import peers


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
