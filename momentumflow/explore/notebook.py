"""The page: a marimo app whose cells only hand the sliders to the modules beside it.

`momentumflow explore` serves it. A position of the sliders can be given in the
address: `?gamma=0.02&beta=0.8`.
"""
# mypy: disallow-untyped-defs=False
# ruff: noqa: D103

import marimo

app = marimo.App(width="full", app_title="momentumflow explore", css_file="page.css")


@app.cell
def imports():
    import marimo as mo

    from momentumflow.explore import page

    return mo, page


@app.cell
def controls(mo, page):
    start, complaint = page.start_of(mo.query_params().to_dict())
    chosen = page.sliders(start)
    page.header(chosen)
    return chosen, complaint


@app.cell
def pictures(chosen, complaint, page):
    page.body(chosen.value, complaint)


if __name__ == "__main__":
    app.run()
