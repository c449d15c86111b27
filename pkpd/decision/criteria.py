"""By what schedules are judged: endpoints, which of them come first, how outputs are shown, in a text file.

    exposure = "C"                      # the usual numbers of a concentration: Cmax, AUC, half-life ...
    main = ["Cmax", "mean response"]    # what tables show; by default all that are declared here

    [[endpoint]]
    name = "mean response"
    output = "R"                        # or a list, of which the first that the model has counts
    what = "mean"                       # one of pkpd.decision.endpoints.functionals.FUNCTIONALS, or "ratio"
    window = "treatment"                # one of WINDOWS there, or two times: "0 h to 24 h"
    level = "+50 %"                     # of "time above" and others: "10 mg/L", "80 % of baseline"
    against = "fold of baseline"        # or "change from baseline", "percent change ...", "per dose"
    unit = "d"                          # the one that comes of itself where it is not said
    better = "down"                     # "up", "down" or "neither"
    relevant = 0.1                      # the smallest difference that counts, in the unit; or "10 %"
    reason = "a tenth of baseline"      # why this much
    group = "effect"

    [on_request.survival]               # endpoints of this group are shown to whoever asks for them,
    title = "survival and decline"      # on pages; the name of the group where it is not said
    outputs = ["survival"]              # and so are the courses of these outputs,
    rests_on = ["One trial of 40 ..."]  # with the sentences that say what they rest on

A fit's folder holds it as ``endpoints.toml``, ``fit.toml`` names another (``endpoints = "mine.toml"``), or
the command line does (``--endpoints mine.toml``). Fields of medicine that come with the package (``fields``)
have criteria of their own, in the same form. Nothing of the text is evaluated.
"""

from __future__ import annotations

import dataclasses
import importlib
import math
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

import pkpd
from pkpd.core.arguments import ABSENT, PATH, of, takes
from pkpd.core.errors import DataError, InputError, LibraryError
from pkpd.core.names import meant, question_and_list
from pkpd.core.toml import TomlTable, read
from pkpd.decision.endpoints import BURDEN, Declared, Endpoint, Level, Relevant, exposure
from pkpd.decision.endpoints.declared import AGAINST, RATIO, bind
from pkpd.decision.endpoints.endpoint import ONE_DOSE
from pkpd.decision.endpoints.functionals import FUNCTIONALS
from pkpd.inference import FitSpec
from pkpd.inference.unfitted import read_fit_or_model
from pkpd.solver.kernel import Kernel, load

MOST_BYTES, MOST_ENDPOINTS, MOST_LETTERS = 200_000, 200, 60
BETTER = {"up": 1, "down": -1, "neither": 0}
ALWAYS = (
    *(f"{called} per 28 days" for called in ONE_DOSE),
    "dose per 28 days",
    "doses held",
    "doses reduced",
    "doses raised",
)
"""Of the burden of a schedule, what is shown where there is no room for all."""


@dataclass(frozen=True)
class Shown:
    """How people are shown an output.

    title : of its figures; remark : what whoever looks at them has to know; log : whether its axis may be
    logarithmic; until_days : how much of its course reports draw. called : what its data are called where the
    schedules that a fit saw are told of, those of outputs of one name together; told : whether they are told
    of; lasting : whether it carries over from dose to dose, so that intervals and cycles matter.
    """

    name: str
    title: str
    remark: str = ""
    log: bool = False
    until_days: float = math.inf
    called: str = ""
    told: bool = True
    lasting: bool = True


@dataclass(frozen=True)
class OnRequest:
    """A group of endpoints, and outputs, that are shown to whoever asks for them, with what they rest on.

    group : its name; title : what it is called on pages; rests_on : whole sentences; outputs : whose courses
    belong to it.
    """

    group: str
    title: str
    rests_on: tuple[str, ...]
    outputs: tuple[str, ...] = ()

    @property
    def said(self) -> str:
        """Its title and all of its sentences."""
        return f"{self.title[:1].upper()}{self.title[1:]}: {' '.join(self.rests_on)}"


@dataclass(frozen=True)
class Risk:
    """The probability of an event at the largest daily dose, which Python computes: a draw of its own
    posterior for each subject. course_days : of the courses in which events were counted.

    output : only of models that have it; unit : in which doses are counted. called, source : "an adverse
    event", "the few published counts"; note, axis : for reports. probability : (schedule, n_subjects, sizes,
    dose_units, seed, daily) -> (n_subjects,); warnings : (schedule, sizes, dose_units) -> sentences
    without a full stop.
    """

    endpoint: Endpoint
    output: str
    unit: str
    called: str
    source: str
    note: str
    axis: str
    probability: Callable[..., NDArray[Any]]
    warnings: Callable[..., tuple[str, ...]]
    course_days: float | None = None


@dataclass(frozen=True)
class Criteria:
    """By what schedules are judged.

    endpoints : as they are declared; main : names of those that are shown where there is no room for all;
    objectives : two or three that a search trades by itself; costs : against which reports draw the first of
    them. outputs : how they are shown, in this order; page, report : names of those that `pkpd explore` and
    reports draw. nouns : what an endpoint "platelet mean fold" may be called in a constraint besides
    "platelet".
    schedules, doses : which the page begins with, and where its sliders stand; dose, route : which a search
    looks at; responders : what classes of responders are thirds of. on_request : groups that are shown to
    whoever asks for them.
    """

    endpoints: tuple[Declared, ...] = ()
    main: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ()
    costs: tuple[str, ...] = ()
    outputs: tuple[Shown, ...] = ()
    page: tuple[str, ...] = ()
    report: tuple[str, ...] = ()
    nouns: tuple[tuple[str, tuple[str, ...]], ...] = ()
    schedules: tuple[str, ...] = ()
    doses: tuple[float, ...] = ()
    dose: str = ""
    route: str = ""
    responders: str = ""
    risks: tuple[Risk, ...] = ()
    on_request: tuple[OnRequest, ...] = ()

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """In the order in which people are shown them; the burden is the last."""
        names = [*(declared.group for declared in self.endpoints), *(r.endpoint.group for r in self.risks)]
        return (*dict.fromkeys(name for name in names if name != BURDEN), BURDEN)

    @cached_property
    def shown_first(self) -> frozenset[str]:
        """Names of the endpoints that are shown where there is no room for all."""
        named = self.main or tuple(declared.name for declared in self.endpoints)
        return frozenset((*named, *(risk.endpoint.name for risk in self.risks), *ALWAYS))

    def declared(self, name: str) -> Declared | None:
        """The endpoint of a name as it was declared; None for one that was not."""
        return next((declared for declared in self.endpoints if declared.name == name), None)

    def only(self, names: Iterable[str], outputs: Sequence[str]) -> Criteria:
        """What endpoints of these names need; outputs : of the model, of which one course is kept. A
        simulation for one endpoint takes half the time."""
        wanted = set(names)
        for declared in reversed(self.endpoints):  # a ratio stands below what it is of
            if declared.name in wanted:
                wanted.update(name for side in declared.of for name in side)
        return dataclasses.replace(
            self,
            endpoints=tuple(declared for declared in self.endpoints if declared.name in wanted),
            risks=tuple(risk for risk in self.risks if risk.endpoint.name in wanted),
            outputs=(Shown(outputs[0], outputs[0]),),
        )

    def risk(self, name: str) -> Risk | None:
        """The risk of a name; None where it is none."""
        return next((risk for risk in self.risks if risk.endpoint.name == name), None)

    def shown(self, name: str) -> Shown:
        """How an output is shown; by its name where nothing is said."""
        return next((shown for shown in self.outputs if shown.name == name), Shown(name, name))

    def asked_for(self, names: Sequence[str]) -> tuple[OnRequest, ...]:
        """The groups of these names. Raises ``InputError`` for a name that is none of a group on request."""
        known = [group.group for group in self.on_request]
        for name in names:
            if name not in known:
                raise InputError(
                    f'there is no group "{name[:60]}" that is shown on request; '
                    + (question_and_list(name, known) if known else "these endpoints have none")
                )
        return tuple(group for group in self.on_request if group.group in names)

    def kept_back(self, show: Sequence[str]) -> tuple[OnRequest, ...]:
        """The groups on request but these."""
        return tuple(group for group in self.on_request if group.group not in show)

    def resting(self, groups: Iterable[str] = (), outputs: Iterable[str] = ()) -> tuple[OnRequest, ...]:
        """The groups on request that endpoints of these groups, or these outputs, belong to."""
        named, several = set(groups), set(outputs)
        return tuple(one for one in self.on_request if one.group in named or several & set(one.outputs))

    def drawn(self, chosen: Sequence[str], outputs: Sequence[str]) -> list[str]:
        """Names of the outputs that a model has among those that are chosen (else among all that are
        described), or all of its outputs."""
        described = [shown.name for shown in self.outputs]
        return [name for name in chosen or described if name in outputs] or list(outputs)


# --- fields of medicine ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Field:
    """A field of medicine that comes with the package: its name, the fit that is meant where none is named,
    and its criteria."""

    name: str
    fit: str
    criteria: Criteria


_FIELDS: dict[str, Field] = {}


def register(field: Field) -> None:
    """Make a field known; its module is named in ``pkpd.FIELDS``."""
    _FIELDS[field.name] = field


def fields() -> tuple[Field, ...]:
    """All fields, the one whose fit is the default first."""
    for module in pkpd.FIELDS:
        importlib.import_module(module)
    return tuple(_FIELDS.values())


def _field(name: str, where: str) -> Field:
    known = {field.name: field for field in fields()}
    if name not in known:
        raise DataError(f'{where}: there is no field "{name[:40]}"; {question_and_list(name, known)}')
    return known[name]


def criteria_of(spec: FitSpec, kernel: Kernel, file: str | os.PathLike[str] | None = None) -> Criteria:
    """The criteria of a fit: those of ``file``, of its folder, of the field whose outputs its model has, or
    the exposure of the model's first output.

    Raises ``DataError`` for a file that cannot be read, or does not fit the model.
    """
    named = os.fspath(file) if file is not None else spec.endpoints
    if named.endswith(".toml"):
        return read_criteria(named, kernel)
    if named:
        return _field(named, f"{spec.folder / 'fit.toml'}: endpoints").criteria
    for field in fields():
        if {name for declared in field.criteria.endpoints for name in declared.outputs} & set(kernel.OUTPUTS):
            return field.criteria
    return Criteria(exposure(kernel.OUTPUTS[0]), main=("Cmax", "AUC"))


@takes(
    fit=PATH | of(FitSpec, words="the specification of a fit") | ABSENT,
    path=PATH | ABSENT,
)
def endpoints(
    fit: str | os.PathLike[str] | FitSpec | None = None, path: str | os.PathLike[str] | None = None
) -> tuple[Endpoint, ...]:
    """What schedules are judged by under a fit.

    Parameters
    ----------
    fit : name in the library, folder, or specification of a fit; by default that of the first field that
        comes with the package.
    path : of a file of endpoints (docs/endpoints.md) instead of the fit's own.

    Returns
    -------
    Endpoints that the fit's model has, in the order of the file: name, unit, definition, which way is better.
    Those of rules, of doses and of adverse events come to them in a comparison.

    Raises
    ------
    LibraryError : there is no such fit or file. DataError : a file that cannot be read, or does not fit the
        model.

    Examples
    --------
    >>> import pkpd
    >>> [endpoint.name for endpoint in pkpd.endpoints("low_dose_il2")][:3]
    ['Cmax', 'Tmax', 'AUC']
    """
    spec = fit if isinstance(fit, FitSpec) else read_fit_or_model(fields()[0].fit if fit is None else fit)
    kernel = load(spec.main.model)
    declared = criteria_of(spec, kernel, path).endpoints
    bound = bind(declared, tuple(kernel.OUTPUTS), tuple(kernel.OUTPUT_UNITS), kernel.TIME_UNIT)
    return tuple(one.endpoint for one in bound)


# --- text -> criteria -----------------------------------------------------------------------------

_KEYS = (
    *("extends", "exposure", "main", "reasons", "endpoint", "nouns", "outputs"),
    *("explore", "report", "optimise", "on_request"),
)
_ENDPOINT_KEYS = (
    *("name", "output", "what", "of", "window", "level", "against", "unit", "better", "relevant", "reason"),
    *("group", "label", "definition", "missing", "remark", "called", "finding", "axis"),
)


def read_criteria(path: str | os.PathLike[str], kernel: Kernel | None = None) -> Criteria:
    """Read a file of endpoints, whole or not at all, and check it against a model. Raises ``DataError``, or
    ``LibraryError`` where there is no such file."""
    name = os.fspath(path)
    try:
        with Path(path).expanduser().open("rb") as stream:
            raw = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        raise LibraryError(f"{ascii(name)[:200]} cannot be read: {error}") from None
    if len(raw) > MOST_BYTES:
        raise DataError(f"{name}: more than {MOST_BYTES:,} bytes are no file of endpoints")
    return parse_criteria(raw, name, kernel)


def parse_criteria(
    raw: bytes, file: str, kernel: Kernel | None = None, risks: tuple[Risk, ...] = ()
) -> Criteria:
    """The same of the bytes of a file; risks : what Python has to add."""
    top = read(raw, file)
    top.keys_within(_KEYS)
    outputs = tuple(_shown(top.table("outputs").table(name), name) for name in top.table("outputs").values)
    declared = exposure(*_names(top, "exposure")) if "exposure" in top.values else ()
    tables = top.values.get("endpoint", [])
    if not isinstance(tables, list) or not all(isinstance(values, dict) for values in tables):
        raise DataError(f"{file}: endpoints are written as tables, each under [[endpoint]]")
    if len(tables) > MOST_ENDPOINTS:
        raise DataError(f"{file}: {len(tables)} endpoints are too many; there is room for {MOST_ENDPOINTS}")
    for number, values in enumerate(tables, start=1):
        called = f'"{values["name"]}"' if isinstance(values.get("name"), str) else str(number)
        table = TomlTable(values, f"{file}: endpoint {called}")
        one = _endpoint(table, {other.name for other in declared}, top.table("reasons"))
        declared = (*declared, one)
    explore, report, optimise = (top.table(key) for key in ("explore", "report", "optimise"))
    explore.keys_within(("outputs", "schedules", "doses", "responders"))
    report.keys_within(("outputs", "costs"))
    optimise.keys_within(("objectives", "dose", "route"))
    nouns = top.table("nouns")
    found = Criteria(
        endpoints=declared,
        main=top.texts("main") or _main(declared),
        objectives=optimise.texts("objectives"),
        costs=report.texts("costs"),
        outputs=outputs,
        page=explore.texts("outputs"),
        report=report.texts("outputs"),
        nouns=tuple((noun, nouns.texts(noun)) for noun in nouns.values),
        schedules=explore.texts("schedules"),
        doses=_doses(explore),
        dose=optimise.text("dose", ""),
        route=optimise.text("route", ""),
        responders=explore.text("responders", ""),
        risks=risks,
        on_request=tuple(
            _on_request(top.table("on_request").table(name), name) for name in top.table("on_request").values
        ),
    )
    _check_objectives(found.objectives, optimise)
    base = _field(top.text("extends"), f"{file}: extends").criteria if "extends" in top.values else None
    whole = found if base is None else _extended(base, found, file)
    if not whole.endpoints:
        raise DataError(
            f"{file} declares no endpoint; write [[endpoint]] with name, output and what, or exposure"
        )
    _check_names(whole, top, explore, report, optimise)
    _check_on_request(whole, file)
    if kernel is not None:
        _check_model(found, kernel, file)
    return whole


def _names(table: TomlTable, key: str) -> tuple[str, ...]:
    """One name or a list of them."""
    value = table.values.get(key)
    found = (value,) if isinstance(value, str) else table.texts(key)
    if not found or not all(found):
        raise DataError(f'{table.where}: {key} = "..." is needed, a name or a list of names')
    return found


def _choice(table: TomlTable, key: str, known: Iterable[str], default: str | None = None) -> str:
    value = table.text(key, default)
    if value not in known:
        raise DataError(
            f'{table.where}: {key} = "{value[:60]}" is unknown; {question_and_list(value, known)}'
        )
    return value


def _endpoint(table: TomlTable, above: set[str], reasons: TomlTable) -> Declared:
    """An endpoint; above : names of those before it; reasons : by name."""
    table.keys_within(_ENDPOINT_KEYS)
    name = table.text("name")
    if len(name) > MOST_LETTERS or re.search(r"[^\w %+().-]|\band\b", name) or name != " ".join(name.split()):
        raise DataError(
            f"{table.where}: a name has at most {MOST_LETTERS} letters, digits, single blanks and any of "
            '% + - ( ) . in it, without the word "and", which parts constraints'
        )
    if name in above | set(_OF_ALL):
        raise DataError(f"{table.where}: there is an endpoint of this name already")
    what = _choice(table, "what", (*FUNCTIONALS, RATIO))
    window = table.text("window", "")
    level = table.text("level", "")
    of = _pair(table, above) if what == RATIO else ((), ())
    if what != RATIO and "of" in table.values:
        raise DataError(f'{table.where}: only a ratio is "of" two endpoints')
    try:
        declared = Declared(
            name=name,
            what=what,
            outputs=_names(table, "output") if what != RATIO or "output" in table.values else (),
            of=of,
            window=window,
            level=Level.parse(level) if level else None,
            against=_choice(table, "against", AGAINST, ""),
            unit=table.text("unit", ""),
            better=BETTER[_choice(table, "better", BETTER, "neither")],
            relevant=_relevant(table, reasons),
            **{
                key: table.text(key, "")
                for key in ("label", "definition", "missing", "remark", "called", "finding", "axis")
            },
            group=table.text("group", "effects"),
        )
        declared.check()
    except DataError:
        raise
    except InputError as error:
        raise DataError(f"{table.where}: {error}") from None
    if declared.finding.count("{}") != bool(declared.finding):
        raise DataError(f"{table.where}: a finding has one {{}} in it, where the number stands")
    return declared


def _pair(table: TomlTable, above: set[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The endpoints of a ratio, over and under the line."""
    of = table.values.get("of")
    if not isinstance(of, list) or len(of) != 2:
        raise DataError(f'{table.where}: of = ["over", "under"] names the two endpoints of a ratio')
    over, under = (_names(TomlTable({"of": side}, table.where), "of") for side in of)
    for side in (over, under):
        if not set(side) & above:
            raise DataError(f'{table.where}: of: there is no endpoint "{side[0][:60]}" above this one')
    return over, under


_OF_ALL = (*ONE_DOSE, "total dose", *ALWAYS)


def _relevant(table: TomlTable, reasons: TomlTable) -> Relevant | None:
    """relevant = 0.1 or "10 %", with its reason, or the name of one."""
    value = table.values.get("relevant")
    if value is None:
        if "reason" in table.values:
            raise DataError(
                f"{table.where}: a reason is that of a smallest relevant difference; add relevant = ..."
            )
        return None
    reason = table.text("reason")
    reason = reasons.text(reason) if reason in reasons.values else reason
    if isinstance(value, str):
        match = re.fullmatch(r"\s*(\d+\.?\d*)\s*%\s*", value)
        if match is None or not 0.0 < float(match[1]) < 100.0:
            raise DataError(
                f'{table.where}: relevant = "{value[:40]}" is neither a number, in the unit of the endpoint, '
                'nor a share of the larger of two values, such as "10 %"'
            )
        return Relevant(float(match[1]) / 100.0, reason, share=True)
    return Relevant(table.number("relevant", 0.0, low=1e-300), reason)


def _shown(table: TomlTable, name: str) -> Shown:
    table.keys_within(("title", "remark", "log", "until_days", "called", "told", "lasting"))
    switches = {}
    for key, usual in (("log", False), ("told", True), ("lasting", True)):
        switches[key] = table.values.get(key, usual)
        if not isinstance(switches[key], bool):
            raise DataError(f"{table.where}: {key} must be true or false")
    return Shown(
        name,
        table.text("title", name),
        table.text("remark", ""),
        until_days=table.number("until_days", math.inf, low=1e-6)
        if "until_days" in table.values
        else math.inf,
        called=table.text("called", ""),
        **switches,
    )


def _on_request(table: TomlTable, name: str) -> OnRequest:
    table.keys_within(("title", "rests_on", "outputs"))
    if len(name) > MOST_LETTERS or re.search(r"[^\w %+().-]", name) or name != " ".join(name.split()):
        raise DataError(
            f"{table.where}: the name of a group on request has at most {MOST_LETTERS} letters, digits, "
            "single blanks and any of % + - ( ) . in it"
        )
    rests_on = table.texts("rests_on")
    if not rests_on or not all(sentence.strip() for sentence in rests_on):
        raise DataError(
            f'{table.where}: rests_on = ["..."] is needed: what those who ask for "{name[:60]}" have to know'
        )
    return OnRequest(name, table.text("title", name), rests_on, table.texts("outputs"))


def _doses(table: TomlTable) -> tuple[float, ...]:
    """doses = [[first, last, step], ...]: where a slider stands."""
    value, found = table.values.get("doses", []), []
    wrong = DataError(
        f"{table.where}: doses = [[0.5, 5, 0.5], [6, 20, 1]]: pieces from, to and step, ascending"
    )
    if not isinstance(value, list):
        raise wrong
    for piece in value:
        if not (
            isinstance(piece, list)
            and len(piece) == 3
            and all(isinstance(n, int | float) and not isinstance(n, bool) and 0 < n < 1e9 for n in piece)
            and piece[0] <= piece[1] <= piece[0] + 1000 * piece[2]
        ):
            raise wrong
        first, last, step = piece
        found += [round(first + i * step, 9) for i in range(round((last - first) / step) + 1)]
    if sorted(set(found)) != found:
        raise wrong
    return tuple(float(dose) for dose in found)


def _main(declared: Sequence[Declared]) -> tuple[str, ...]:
    """Of what is usually asked of a concentration the first and the area, and all that was written down."""
    usual = {one.name for one in exposure("")} - {"Cmax", "AUC"}
    return tuple(one.name for one in declared if one.group != "exposure" or one.name not in usual)


_ADDED = ("endpoints", "main", "outputs", "nouns", "on_request")


def _extended(base: Criteria, own: Criteria, file: str) -> Criteria:
    """A field's criteria, and one's own besides: what one says oneself counts, endpoints are added."""
    there = {declared.name for declared in base.endpoints}
    for declared in own.endpoints:
        if declared.name in there:
            raise DataError(f'{file}: endpoint "{declared.name}": what is extended has one of this name')
    said = {
        item.name: value
        for item in dataclasses.fields(Criteria)
        if (value := getattr(own, item.name)) and item.name not in _ADDED
    }
    named = {shown.name for shown in own.outputs}
    return dataclasses.replace(
        base,
        endpoints=(*base.endpoints, *own.endpoints),
        main=(*base.main, *own.main),
        outputs=(*(shown for shown in base.outputs if shown.name not in named), *own.outputs),
        nouns=(*base.nouns, *own.nouns),
        on_request=(*base.on_request, *own.on_request),
        **said,
    )


def _check_objectives(names: Sequence[str], table: TomlTable) -> None:
    if names and not 2 <= len(names) <= 3:
        raise DataError(f"{table.where}: objectives are two or three endpoints, not {len(names)}")


def _check_names(
    whole: Criteria, top: TomlTable, explore: TomlTable, report: TomlTable, optimise: TomlTable
) -> None:
    """That the endpoints and outputs that are named are there."""
    names = [
        *(declared.name for declared in whole.endpoints),
        *(risk.endpoint.name for risk in whole.risks),
        *_OF_ALL,
    ]
    plain = [re.sub(r"^(max|min)(imi[sz]e)? ", "", name) for name in optimise.texts("objectives")]
    for where, key, said in (
        (top.where, "main", top.texts("main")),
        (report.where, "costs", report.texts("costs")),
        (optimise.where, "objectives", plain),
    ):
        for name in said:
            if name not in names:
                raise DataError(f'{where}: {key}: there is no endpoint "{name[:60]}"{meant(name, names)}')


def _check_on_request(whole: Criteria, file: str) -> None:
    """That every group on request has endpoints or outputs, and that no endpoint of such an output, nor a
    ratio of such endpoints, stands in another group, where it would be shown to everybody."""
    groups = {declared.group for declared in whole.endpoints}
    of_output = {output: group.group for group in whole.on_request for output in group.outputs}
    of_endpoint: dict[str, str] = {}
    for group in whole.on_request:
        if group.group not in groups and not group.outputs:
            raise DataError(
                f'{file}: [on_request]: no endpoint is of the group "{group.group[:60]}", and it names no '
                f"outputs; {question_and_list(group.group, groups, 'endpoints are of')}"
            )
    names = {group.group for group in whole.on_request}
    for declared in whole.endpoints:
        if declared.group in names:
            of_endpoint[declared.name] = declared.group
            continue
        parts = [of_endpoint.get(name) for side in declared.of for name in side]
        parts += [of_output.get(output) for output in declared.outputs]
        if kept := next(filter(None, parts), None):
            raise DataError(
                f'{file}: endpoint "{declared.name}": what it is made of is shown on request only; write '
                f'group = "{kept}"'
            )


def _check_model(own: Criteria, kernel: Kernel, file: str) -> None:
    """That the model has the outputs that are named, in units that go with them."""
    wanted = [
        *((f'endpoint "{one.name}"', one.outputs) for one in own.endpoints if one.what != RATIO),
        *(("[outputs]", (shown.name,)) for shown in own.outputs),
        *(("[explore]: outputs", (name,)) for name in own.page),
        *(("[report]: outputs", (name,)) for name in own.report),
        *((f"[on_request.{one.group}]: outputs", (name,)) for one in own.on_request for name in one.outputs),
    ]
    for where, several in wanted:
        if not set(several) & set(kernel.OUTPUTS):
            raise DataError(
                f'{file}: {where}: the model {kernel.NAME} has no output "{several[0][:60]}"; '
                f"{question_and_list(several[0], kernel.OUTPUTS, 'it has')}"
            )
    try:
        bind(own.endpoints, tuple(kernel.OUTPUTS), tuple(kernel.OUTPUT_UNITS), kernel.TIME_UNIT)
    except InputError as error:
        raise DataError(f"{file}: {error}") from None
