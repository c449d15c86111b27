"""Other solvers, each used as well as its documentation allows, and what became of those that are not
installed."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import dataclass

from pkpd.bench.peers.task import PeerSolver, Task, functions
from pkpd.bench.problem import FunctionProblem

__all__ = ["PEERS", "Peer", "PeerSolver", "Task", "functions", "installed", "solvers"]


for _level in ("WARNING", "ERROR"):  # SUNDIALS would print each of its complaints
    os.environ.setdefault(f"SUNLOGGER_{_level}_FILENAME", os.devnull)


@dataclass(frozen=True)
class Peer:
    """home : module of this folder whose ``solvers(task)`` gives {method: make}; make() builds a
    ``PeerSolver`` and may compile.

    needs : modules that must be importable; explicit : methods that are not asked stiff problems; equations :
    whether it reads or traces the equations of a model, so that compiled functions are nothing to it.
    """

    library: str
    home: str
    needs: tuple[str, ...]
    explicit: tuple[str, ...] = ()
    hint: str = "pip install pkpd[bench]"
    equations: bool = False


PEERS = (
    Peer("SciPy", "by_scipy", ("scipy", "numba"), ("DOP853",)),
    Peer("scikit-sundae", "by_sundae", ("sksundae", "numba"), ("CVODE Adams",)),
    Peer(
        "numbalsoda",
        "by_numbalsoda",
        ("numbalsoda",),
        ("DOP853",),
        "pip install numbalsoda: it needs a Fortran compiler",
    ),
    Peer("diffrax", "by_diffrax", ("diffrax",), ("Tsit5",), equations=True),
    Peer("libroadrunner", "by_roadrunner", ("roadrunner", "antimony"), equations=True),
    Peer("heyoka", "by_heyoka", ("heyoka",), ("Taylor",), equations=True),
    Peer("CyRK", "by_cyrk", ("CyRK", "numba"), ("DOP853",)),
)


def installed(peers: tuple[Peer, ...] = PEERS) -> dict[str, str]:
    """{library: version, or "not installed: why"}; a peer is never left out."""
    found = {}
    for peer in peers:
        try:
            for module in peer.needs:
                importlib.import_module(module)
            found[peer.library] = importlib.metadata.version(peer.library)
        except (
            Exception
        ) as error:  # a missing shared library is an OSError, a mismatch with numpy may be anything
            found[peer.library] = f"not installed: {error} ({peer.hint})"
    return found


def asked(functions_only: bool) -> dict[str, str]:
    """{library: version, or why it is not asked}; functions_only : of a problem that is no model's text."""
    found = installed()
    for peer in PEERS:
        if functions_only and peer.equations and not found[peer.library].startswith("not installed"):
            found[peer.library] = f"not asked: {found[peer.library]} reads equations, not compiled functions"
    return found


def solvers(task: Task, only: tuple[str, ...] | None = None) -> dict[str, Callable[[], PeerSolver]]:
    """{"library method": make} of all installed peers that are fit for the problem."""
    found = {}
    for peer, version in zip(PEERS, installed().values(), strict=True):
        if version.startswith("not installed") or (only is not None and peer.library not in only):
            continue
        if peer.equations and isinstance(task.problem, FunctionProblem):
            continue
        home = importlib.import_module(f"pkpd.bench.peers.{peer.home}")
        for method, make in home.solvers(task).items():
            if not (task.problem.stiff and method in peer.explicit):
                found[f"{peer.library} {method}"] = make
    return found
