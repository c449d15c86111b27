"""Figures of why a curve looks as it does: the curve, what each term added, and what moves the terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pkpd.core.errors import InputError
from pkpd.present.plot.canvas import (
    GREY,
    INK,
    clipped,
    colour_of,
    line_handle,
    literal,
    new_figure,
    put_footnote,
    put_title,
    styled,
    with_unit,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROW = 3.3  # inches


@styled
def why_figure(
    days: Sequence[float],
    accounts: Sequence[Mapping[str, Any]],
    *,
    treated_days: float,
    title: str = "",
    footnote: str = "",
) -> Figure:
    """A row for each account: the curve with and without doses, and what each term added to the difference.

    Args:
        days: (n_times,).
        accounts: dicts with ``name``, ``unit``, ``course`` (3, n_times) typical, low, high (nan: no band),
            ``rest`` (n_times,), ``change`` (3, n_times), and ``terms``: dicts with ``label`` and ``total``
            (3, n_times); optional ``factors``: dicts with ``label`` and ``values`` (n_times,), of rest, which
            get a row of their own.
        treated_days: until when doses are given.
    """
    if not accounts:
        raise InputError("there is no account to draw")
    drivers = [(i, account) for i, account in enumerate(accounts) if account.get("factors")]
    rows = len(accounts) + (1 if drivers else 0)
    figure = new_figure(10.0, _ROW * rows)
    panels = figure.subplots(rows, 2, squeeze=False, width_ratios=(1, 1.25))
    for (left, right), account in zip(panels, accounts, strict=False):
        _course(left, days, account, treated_days)
        _terms(right, days, account, treated_days)
    if drivers:
        left, right = panels[-1]
        right.set_axis_off()
        _factors(left, right, days, drivers[-1][1]["factors"], treated_days)
    for panel in panels[-1]:
        panel.set_xlabel("days")
    put_title(figure, title)
    put_footnote(figure, footnote)
    return figure


def _course(panel: Axes, days: Sequence[float], account: Mapping[str, Any], treated: float) -> None:
    typical, low, high = np.asarray(account["course"], dtype=float)
    _treatment(panel, days, treated)
    _shade(panel, days, low, high, INK)
    panel.plot(days, account["rest"], color=GREY, linestyle=(0, (4, 3)), linewidth=1.2)
    panel.plot(days, typical, color=INK)
    panel.set_title(wrapped(with_unit(str(account["name"]), str(account["unit"])), 52))
    handles = [line_handle("with doses", INK), line_handle("without", GREY, linestyle=(0, (4, 3)))]
    panel.legend(handles=handles, loc="best")


def _terms(panel: Axes, days: Sequence[float], account: Mapping[str, Any], treated: float) -> None:
    _treatment(panel, days, treated)
    panel.axhline(0, color=GREY, linewidth=0.8)
    handles = [line_handle("all of them: the difference made", INK, linewidth=2.2)]
    panel.plot(days, np.asarray(account["change"])[0], color=INK, linewidth=2.2, zorder=4)
    for i, term in enumerate(account["terms"]):
        typical, low, high = np.asarray(term["total"], dtype=float)
        _shade(panel, days, low, high, colour_of(i))
        panel.plot(days, typical, color=colour_of(i), zorder=3)
        handles.append(line_handle(literal(clipped(str(term["label"]), 58)), colour_of(i)))
    panel.set_title(wrapped(with_unit("added since the beginning", str(account["unit"])), 60))
    panel.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.3)


def _factors(
    panel: Axes, legend: Axes, days: Sequence[float], factors: Sequence[Mapping[str, Any]], treated: float
) -> None:
    _treatment(panel, days, treated)
    panel.axhline(1, color=GREY, linewidth=0.8)
    handles = []
    for i, factor in enumerate(factors):
        panel.plot(days, factor["values"], color=colour_of(i))
        handles.append(line_handle(literal(clipped(str(factor["label"]), 80)), colour_of(i)))
    panel.set_title("what moves them, of its value at rest")
    legend.legend(handles=handles, loc="upper left", borderaxespad=0.0)


def _treatment(panel: Axes, days: Sequence[float], treated: float) -> None:
    panel.axvspan(min(days), treated, color=GREY, alpha=0.10, linewidth=0, zorder=0, gid="treatment")
    panel.set_xlim(min(days), max(days))


def _shade(panel: Axes, days: Sequence[float], low: Any, high: Any, colour: str) -> None:
    if np.isfinite(low).all():
        panel.fill_between(
            np.asarray(days, dtype=float), low, high, color=colour, alpha=0.13, linewidth=0, zorder=1
        )
