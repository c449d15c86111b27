"""Why a curve looks as it does: parted into the terms of its differential equations.

found = why("./my.model", "10 mg oral daily x5", "C")
print(found.accounts[0].terms)

ledger       which terms there are to account for, and the model that has them as outputs
explanation  what each of them added, and the files it is written to
run          from a model or a fit to its explanation
"""

from pkpd.decision.why.explanation import Account, Contribution, Explanation, Share
from pkpd.decision.why.run import why

__all__ = ["Account", "Contribution", "Explanation", "Share", "why"]
