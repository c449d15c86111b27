"""``pkpd explore``: schedules on a page with sliders."""

from __future__ import annotations

import threading
from typing import Annotated

import typer

from pkpd.cli.scenes import CriteriaOption, PosteriorOption
from pkpd.cli.terminal import Work
from pkpd.treg import FIT


def explore(
    fit: Annotated[
        str,
        typer.Option(help="Name of a fit (see [italic]pkpd models[/]) or path of a fit folder."),
    ] = FIT,
    endpoints: CriteriaOption = None,
    posterior: PosteriorOption = None,
    subjects: Annotated[
        int, typer.Option(min=10, max=1000, help="Virtual subjects that a page begins with.")
    ] = 200,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")] = 0,
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at. Anything but this machine's own opens the page to the "
            "network, without a password."
        ),
    ] = "127.0.0.1",
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address only, open no browser.")
    ] = False,
) -> None:
    """Compare dose schedules on a page with sliders, in the browser, on this machine.

    [dim]Examples[/]

      pkpd explore
      pkpd explore --subjects 500 --port 8000
      pkpd explore --no-browser

    Everything is computed here and nothing is sent anywhere. Ctrl-C ends it.
    """
    with Work("preparing the page (compiles the model once: it is cached)"):
        from pkpd.present.web import Site

        site = Site(fit, subjects=subjects, host=host, port=port, endpoints=endpoints, posterior=posterior)

    def announce() -> None:
        if site.warning:
            typer.echo(f"warning: {site.warning}", err=True)
        typer.echo(f"open {site.url} in a browser; Ctrl-C ends it")
        if not no_browser:
            import webbrowser

            # some machines have none, and some take their time to start one
            threading.Thread(target=webbrowser.open, args=(site.url,), daemon=True).start()

    site.run(announce)
