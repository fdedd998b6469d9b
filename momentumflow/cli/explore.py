"""`momentumflow explore`: an interactive page, served on this machine."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from momentumflow.cli.completion import choices


def explore(
    *,
    gamma: Annotated[float, typer.Option(help="Step size at the start, > 0.")] = 0.02,
    beta: Annotated[float, typer.Option(help="Momentum at the start, in [0, 1).")] = 0.8,
    alpha: Annotated[float, typer.Option(help="Initialisation scale at the start, > 0.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Seed of the random problem at the start.")] = 0,
    rho: Annotated[float, typer.Option(help="Factor of the acceleration rule, > 0.")] = 1.0,
    method: Annotated[
        str,
        typer.Option(
            help="heavy_ball or nesterov.", autocompletion=choices("heavy_ball", "nesterov")
        ),
    ] = "heavy_ball",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")
    ] = 2718,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    as_json: Annotated[
        bool, typer.Option("--json/--no-json", help="Print address and start as JSON.")
    ] = False,
) -> None:
    """Move sliders and see path, balancedness, predicted limit and equation follow.

    Serves the page until Ctrl-C. Needs the extra `explore`, and no network.
    """
    from momentumflow.explore import server

    server.require()
    from momentumflow.explore.pictures import draw
    from momentumflow.explore.scene import Controls, compute
    from momentumflow.explore.words import link

    controls = Controls(gamma, beta, alpha, seed, rho, method)
    listening = server.listen(host, port)
    # Derive and compile once, so that the first visitor does not wait for it.
    draw(compute(controls))
    url = server.address(listening) + link(controls)
    if as_json:
        typer.echo(json.dumps({"url": url, "start": controls.to_dict()}, indent=2))
    else:
        typer.echo(f"momentumflow explore: {url}\nCtrl-C ends it.")
    if browser:
        import webbrowser

        webbrowser.open(url)
    server.serve(listening)
