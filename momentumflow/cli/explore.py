"""`momentumflow explore`: an interactive page, served on this machine."""

from __future__ import annotations

import json
import webbrowser
from typing import Annotated

import typer

from momentumflow import explore as page
from momentumflow.base.choices import ExploredMethod
from momentumflow.cli.options import Alpha, Beta, Gamma, Json


def explore(
    *,
    gamma: Gamma = 0.02,
    beta: Beta = 0.8,
    alpha: Alpha = 0.1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the random problem.")] = 0,
    rho: Annotated[float, typer.Option(help="Factor of the acceleration rule, > 0.")] = 1.0,
    method: Annotated[ExploredMethod, typer.Option(help="The method that runs.")] = "heavy_ball",
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen at; 0 takes a free one.")
    ] = 2718,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Move sliders and see path, balancedness, predicted limit and equation follow.

    Serves the page until Ctrl-C; the options say where the sliders start. Needs
    the extra `explore`, and no network.
    """
    page.server.require()
    controls = page.Controls(gamma, beta, alpha, seed, rho, method)
    listening = page.server.listen(host, port)
    # Derive and compile once, so that the first visitor does not wait for it.
    page.draw(page.compute(controls))
    url = page.server.address(listening) + page.link(controls)
    if as_json:
        typer.echo(json.dumps({"url": url, "start": controls.to_dict()}, indent=2))
    else:
        typer.echo(f"momentumflow explore: {url}\nCtrl-C ends it.")
    if browser:
        webbrowser.open(url)
    page.server.serve(listening)
