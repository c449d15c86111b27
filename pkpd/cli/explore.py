"""``pkpd explore``: schedules on a page with sliders."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Annotated

import typer

from pkpd.cli.scenes import CriteriaOption, PosteriorOption
from pkpd.cli.terminal import Work
from pkpd.core.errors import InputError
from pkpd.treg import FIT

SUBJECTS = 200


def explore(
    state: Annotated[
        Path | None,
        typer.Argument(
            metavar="[STATE.json]", help="What a page was saved as, to be opened again.", show_default=False
        ),
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(
            help="Name of a fit (see [italic]pkpd models[/]) or path of a fit folder (default: "
            f"{FIT}, or that of the state).",
            show_default=False,
        ),
    ] = None,
    endpoints: CriteriaOption = None,
    posterior: PosteriorOption = None,
    subjects: Annotated[
        int | None,
        typer.Option(
            min=10,
            max=1000,
            help=f"Virtual subjects that a page begins with (default: {SUBJECTS}, or those of the state).",
            show_default=False,
        ),
    ] = None,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 0,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at. Anything but this machine's own opens the page to the "
            "network, without a password."
        ),
    ] = "127.0.0.1",
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="Name by which others open the page, such as pkpd.example.org; may be given several times. "
            "Without it the page answers to addresses and to this machine's own name.",
            show_default=False,
        ),
    ] = None,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address only, open no browser.")
    ] = False,
) -> None:
    """Compare dose schedules on a page with sliders, in the browser, on this machine.

    [dim]Examples[/]

      pkpd explore
      pkpd explore --subjects 500 --port 8000
      pkpd explore --no-browser
      pkpd explore --host 0.0.0.0 --port 8000 --name pkpd.example.org
      pkpd explore state.json --port 8000

    Everything is computed here and nothing is sent anywhere. Ctrl-C ends it.
    """
    if state is not None and subjects is not None:
        raise InputError(f'how many subjects there are stands in "{state}": leave --subjects out')
    with Work("preparing the page (compiles the model once: it is cached)"):
        from pkpd.present.web import Site, read_state

        site = Site(
            fit,
            subjects=subjects or SUBJECTS,
            host=host,
            port=port,
            names=name or (),
            endpoints=endpoints,
            posterior=posterior,
            state=None if state is None else read_state(state),
        )

    def announce() -> None:
        if site.warning:
            typer.echo(f"warning: {site.warning}", err=True)
        typer.echo(f"open {site.url} in a browser; Ctrl-C ends it")
        if not no_browser:
            import webbrowser

            # some machines have none, and some take their time to start one
            threading.Thread(target=webbrowser.open, args=(site.url,), daemon=True).start()

    site.run(announce)
