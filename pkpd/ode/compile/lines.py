"""Small functions that are written as lines of Python for one system, compiled for this process alone."""

from __future__ import annotations

from collections.abc import Sequence

from pkpd.ode import call
from pkpd.ode.compile import compilers, native
from pkpd.ode.kernel import KINDS, PACKED


def written_out(name: str, arguments: Sequence[str], lines: Sequence[str], wide: bool = False) -> int:
    """Address of a function of these lines, which lives in this process; its arguments are named as in
    ``kernel.ARGUMENTS``.

    wide : for LANES subjects at once, as the functions are whose names end so.
    """
    wide = wide or name.endswith("_wide")

    def build(symbol: str) -> str:
        from pkpd.ode.compile import source

        text = "\n".join([f"def {name}({', '.join(arguments)}):", *(f"    {line}" for line in lines)])
        kinds = [call.DOUBLES if wide else KINDS.get(argument, call.DOUBLES) for argument in arguments]
        form = source.text_source(text, name)
        if wide:
            form = source.columns(form, arguments)
        elif name in PACKED:
            form = source.packed(form, PACKED[name])
        return compilers.module(symbol, form, [None, *kinds])

    return native.here(name, build)
