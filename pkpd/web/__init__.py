"""`pkpd explore`: a page on this machine, with sliders for dose schedules and what the fitted model says of them.

The page is plain HTML, modern JavaScript (modules, SVG) and CSS in ``static/``, as it is read by the browser: no framework, no build step,
nothing from another host. The server is Starlette on uvicorn, both pure Python, well kept, and half a megabyte with all they need, so that
they are part of every installation. Frameworks that draw pages from Python (Dash, Streamlit, Panel, Shiny) would cost a hundred times that, keep a session
on the server for each tab, and redraw through it; here a change of a slider is one request with the numbers of one
schedule, the server remembers curves and nothing else, and the link is the state.

    evaluation   values of a request -> curves, endpoints, warnings, the command line
    points       the published numbers behind the fit, as points over the curves
    server       paths, headers, limits, threads; ``Site``
"""

from pkpd.web.server import Site as Site
