"""``pkpd sample``: draws from the posterior of a fit."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pkpd.cli.fits import FitArgument
from pkpd.cli.repeating import ResumeOption, results_folder
from pkpd.cli.terminal import (
    JobsOption,
    JsonOption,
    QuietOption,
    SeedOption,
    Work,
    console,
    note,
    plain,
    print_json,
    table,
)

if TYPE_CHECKING:
    from rich.table import Table

    from pkpd.inference.draws import LeftOutDensity, PosteriorDraws

MOST_RANKED, MOST_PAIRED = 12, 6
KEPT = "draws"
"""The folder, in that of the results, of the points at which the density was asked."""


def sample(
    fit: FitArgument,
    chains: Annotated[int, typer.Option(min=1, help="How many chains.")] = 4,
    tune: Annotated[int, typer.Option(min=1, help="Draws of each chain's warm-up, not kept.")] = 1000,
    draws: Annotated[int, typer.Option(min=1, help="Draws of each chain that are kept.")] = 1000,
    seed: SeedOption = 1,
    surrogate: Annotated[
        bool,
        typer.Option(
            "--surrogate",
            help="Propose draws by a surrogate of the model, accept or refuse them by the model itself.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Folder for what is written (default: results/FIT).", show_default=False
        ),
    ] = None,
    resume: ResumeOption = False,
    jobs: JobsOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw from the full posterior of a fit by NUTS, through nutpie, and say whether to trust the draws.

    [dim]Examples[/]

      pkpd sample ./my_fit
      pkpd sample ./my_fit --chains 2 --tune 300 --draws 500 -o elsewhere
      pkpd sample low_dose_il2 --surrogate
      pkpd sample ./my_fit --draws 4000 --resume
      pkpd compare "1 mg once" --fit ./my_fit --posterior results/my_fit

    The folder gets draws.npz (which --posterior of pkpd compare, optimise and explore takes), draws.nc for
    ArviZ, prior against posterior (posterior.png), the estimates that are correlated most (pairs.png) and
    ranks of the chains (ranks.png). Ctrl-C keeps the draws that are there; --resume goes on, to more draws
    too. Needs pip install 'pkpd\\[sample]'.
    """
    from pkpd.core.extras import optional
    from pkpd.inference.draws import FILE
    from pkpd.inference.optimum import fit_of
    from pkpd.inference.posterior_draws import posterior_draws

    fit_of(fit)  # a name that is misspelt is told before an extra is asked for
    for package in ("nutpie", "arviz"):
        optional(package, "sample")
    folder = results_folder(fit, output)
    with Work(f"reading {fit}", quiet) as work:
        found = posterior_draws(
            fit,
            chains=chains,
            tune=tune,
            draws=draws,
            seed=seed,
            surrogate=surrogate,
            threads=jobs,
            keep=folder / KEPT,
            resume=resume,
            progress=work.update,
        )
        work.update("writing")
        found.write(folder / FILE)
        said = _write_netcdf(found, folder / "draws.nc")
        _draw(found, folder)
        left_out = found.loo()
    if json:
        print_json(_facts(found, left_out))
    elif not quiet:
        _show(found, left_out)
    if said:
        note(said, quiet or json)
    if found.interrupted:
        note(f"interrupted: the draws that are there are kept in {folder}; go on with --resume", quiet)
        raise typer.Exit(130)
    note(f"wrote {folder}", quiet or json)


def _write_netcdf(found: PosteriorDraws, path: Path) -> str:
    """For ArviZ; a sentence if it cannot be written."""
    from pkpd.core.files import replacing

    try:
        with replacing(path) as temporary:
            found.to_arviz().to_netcdf(temporary)
    except (ImportError, ValueError) as error:
        return f"{path.name} was not written: {str(error).splitlines()[0]} (pip install h5netcdf h5py)"
    return ""


def _draw(found: PosteriorDraws, folder: Path) -> None:
    from pkpd.present.plot import going_together, pairs_figure, posterior_figure, rank_figure, save

    drawn = found.drawn()
    save(posterior_figure(drawn, title=f"{found.title}: prior and posterior"), folder / "posterior.png")
    if len(drawn) > 1:
        pairs = [drawn[k] for k in going_together(found.x, MOST_PAIRED)]
        title = f"{found.title}: pairs"
        save(pairs_figure(pairs, diverging=found.statistics["diverging"], title=title), folder / "pairs.png")
    worst = sorted(range(len(drawn)), key=lambda k: found.estimates[k].effective)[:MOST_RANKED]
    save(rank_figure([drawn[k] for k in worst], title=f"{found.title}: chains"), folder / "ranks.png")


def _facts(found: PosteriorDraws, left_out: LeftOutDensity) -> dict[str, Any]:
    import dataclasses

    return {
        "fit": found.fit,
        "chains": found.x.shape[0],
        "draws": found.x.shape[1],
        "interrupted": found.interrupted,
        "estimates": [dataclasses.asdict(estimate) for estimate in found.estimates],
        "loo": left_out._asdict() | {"doubtful": left_out.doubtful},
        "waic": found.waic()._asdict(),
        "notes": found.notes,
        "provenance": found.provenance,
    }


def _show(found: PosteriorDraws, left_out: LeftOutDensity) -> None:
    out = console()
    out.print(f"[bold]{plain(found.title)}[/]")
    out.print(_table(found))
    for remark in found.notes:
        out.print(plain(remark), style="yellow")
    waic = found.waic()
    out.print(
        f"Predictive density of {len(left_out.blocks)} blocks of rows left out: elpd {left_out.elpd:.1f} "
        f"(SE {left_out.se:.1f}) by LOO, {waic.elpd:.1f} by WAIC; {left_out.p:.1f} effective parameters."
    )
    if left_out.doubtful:
        shown = ", ".join(left_out.doubtful[:5])
        out.print(
            plain(
                f"LOO is not reliable for {len(left_out.doubtful)} of them (Pareto k above "
                f"{left_out.good_k:.2f}): {shown}. Without them the posterior is another."
            ),
            style="yellow",
        )
    out.print("A model, not medical advice.", style="dim")


def _table(found: PosteriorDraws) -> Table:
    rows = table("parameter", ">median", "unit", ">95 %", ">R-hat", ">effective draws")
    for e in found.estimates:
        rows.add_row(
            plain(e.name),
            f"{e.median:.3g}",
            "" if e.unit == "1" else e.unit,
            f"{e.lower:.3g} to {e.upper:.3g}",
            f"{e.r_hat:.3f}",
            f"{e.effective:,.0f}",
        )
    return rows
