"""Names that a shell completes: ``pkpd --install-completion``."""

from __future__ import annotations

from collections.abc import Callable

from pkpd.core import library


def _names(known: Callable[[], list[str]]) -> Callable[[str], list[str]]:
    def complete(incomplete: str) -> list[str]:
        return [name for name in known() if name.startswith(incomplete)]

    return complete


models, fits, trials = (_names(known) for known in (library.models, library.fits, library.trials))
