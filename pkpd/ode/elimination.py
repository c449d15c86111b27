"""How the matrix ``W = d*I - J`` of the stiff methods is factored: an order of the pivots that keeps it
sparse, and the functions ``factor`` and ``solve`` as lines of Python for one pattern.

There is no pivoting: a pivot that vanishes gives numbers that are not finite, the step is refused, and in the
next one ``d`` is larger.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

Entry = tuple[int, int]  # row, column


@dataclass(frozen=True)
class Elimination:
    """How W = d*I - J is factored without pivoting: the order of the pivots, and where L and U are kept.

    ``order`` lists the states as they are eliminated; ``slots`` gives the place of entry (row, column) of L +
    U in storage, fill-in included; the place of a diagonal entry holds the reciprocal of the pivot.
    """

    order: tuple[int, ...]
    slots: dict[Entry, int]
    fill: tuple[Entry, ...]

    def below(self, k: int) -> list[int]:
        """Rows of which the pivot k is eliminated, in order."""
        return [i for i in self.order[self.order.index(k) + 1 :] if (i, k) in self.slots]

    def right(self, k: int) -> list[int]:
        """Columns behind the pivot k in its row, in order."""
        return [j for j in self.order[self.order.index(k) + 1 :] if (k, j) in self.slots]


def eliminate(pattern: Iterable[Entry], n: int) -> Elimination:
    """Markowitz's order on a static pattern with diagonal pivots: next comes the pivot that touches fewest
    entries."""
    rows: list[set[int]] = [{i} for i in range(n)]
    columns: list[set[int]] = [{i} for i in range(n)]
    for i, j in pattern:
        rows[i].add(j)
        columns[j].add(i)
    entries = {(i, j) for i in range(n) for j in rows[i]}
    fill: list[Entry] = []
    left = set(range(n))
    order = []
    while left:
        pivot = min(left, key=lambda k: ((len(rows[k] & left) - 1) * (len(columns[k] & left) - 1), k))
        left.remove(pivot)
        order.append(pivot)
        for i in sorted(columns[pivot] & left):
            for j in sorted((rows[pivot] & left) - rows[i]):
                rows[i].add(j)
                columns[j].add(i)
                entries.add((i, j))
                fill.append((i, j))
    rank = {k: position for position, k in enumerate(order)}
    kept = sorted(entries, key=lambda e: (min(rank[e[0]], rank[e[1]]), rank[e[0]], rank[e[1]]))
    return Elimination(tuple(order), {entry: slot for slot, entry in enumerate(kept)}, tuple(fill))


def factor_lines(elimination: Elimination, entries: Sequence[Entry], names: Sequence[str]) -> list[str]:
    """Lines of ``factor(J, d, LU)``: W = L U with the reciprocal pivots kept on the diagonal; entries : of J,
    in its order, every diagonal one among them."""
    lines = []
    for e, (i, j) in enumerate(entries):
        lines.append(f"w{i}_{j} = d - J[{e}]" if i == j else f"w{i}_{j} = -J[{e}]")
    filled = set(entries)
    for k in elimination.order:
        right = elimination.right(k)
        lines.append(f"w{k}_{k} = 1.0/w{k}_{k}  # {names[k]}")
        for i in elimination.below(k):
            lines.append(f"w{i}_{k} = w{i}_{k}*w{k}_{k}")
            for j in right:
                product = f"w{i}_{k}*w{k}_{j}"
                lines.append(
                    f"w{i}_{j} = w{i}_{j} - {product}" if (i, j) in filled else f"w{i}_{j} = -{product}"
                )
                filled.add((i, j))
    return [*lines, *(f"LU[{slot}] = w{i}_{j}" for (i, j), slot in elimination.slots.items())]


def solve_lines(elimination: Elimination, names: Sequence[str]) -> list[str]:
    """Lines of ``solve(LU, b)``: W x = b in place with the factors."""
    order, slots = elimination.order, elimination.slots
    lines = [f"b{i} = b[{i}]  # {name}" for i, name in enumerate(names)]
    for k in order:
        lines += [f"b{i} = b{i} - LU[{slots[i, k]}]*b{k}" for i in elimination.below(k)]
    for k in reversed(order):
        taken = "".join(f" - LU[{slots[k, j]}]*b{j}" for j in elimination.right(k))
        value = f"(b{k}{taken})" if taken else f"b{k}"
        lines.append(f"b{k} = LU[{slots[k, k]}]*{value}")
    return [*lines, *(f"b[{i}] = b{i}" for i in range(len(names)))]
