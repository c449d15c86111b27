"""The explanation of a curve as a figure.

plot.save(figure(why("il2_treg", "1 MIU sc once")), "why.png")
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pkpd.decision.why import Account, Contribution, Explanation
from pkpd.decision.why.explanation import ADVICE

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def label(term: Contribution, of: Contribution) -> str:
    """A term for people, with what stands in the model: "division rate (share*loss*divide*T)", and of a part
    which of its factors it is."""
    if term is of:
        return f"{term.words} ({term.text})" if term.text and term.text != term.words else term.words
    by = f"{of.words}, by {term.text}"
    return by if term.words == term.text or term.words.startswith(of.words) else f"{by}: {term.words}"


def figure(found: Explanation) -> Figure:
    """The curve, what was added to it by what, and what moves that."""
    from pkpd.present import plot

    return plot.why_figure(
        found.days.tolist(),
        [_drawn(account) for account in found.accounts],
        treated_days=found.treated_days,
        title=f"Why {found.output} goes as it does: {found.schedule}",
        footnote=" ".join((*found.reading, "Grey: the treatment.", *found.warnings, ADVICE)),
    )


def _drawn(account: Account) -> dict[str, Any]:
    parts = [(part, term) for term in account.terms for part in (term.parts or (term,))]
    factors = {part.text: part for part, _ in parts if part.factor is not None}
    return {
        "name": account.description or account.name,
        "unit": account.unit,
        "course": account.course,
        "rest": account.rest,
        "change": account.change,
        "terms": [{"label": label(part, term), "total": part.total} for part, term in parts],
        "factors": [
            {"label": f"{text}: {part.words}" if part.words != text else text, "values": part.factor}
            for text, part in factors.items()
        ],
    }
