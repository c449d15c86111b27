"""Solvers compared: a problem, of a user or ours, timed with our methods and with every other solver that is
installed, at equal error.

    clock        times that stand a busy machine
    problem      what is to be solved
    peers        other solvers, each used as well as its documentation allows
    curves       time over error, and what is read off it
    precision    everyone on one problem

The problems of the repository, and what else is measured there, stand in its folder ``benchmarks``.
"""
