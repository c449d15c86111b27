"""`pkpd explore`: a page on this machine, with sliders for dose schedules and what the fitted model says of
them.

The page is plain HTML, modern JavaScript (modules, SVG) and CSS in ``static/``, as it is read by the browser:
no framework, no build step, nothing from another host. The server is Starlette on uvicorn, which the extra
"explore" brings; docs/architecture.md says why.

    evaluation   values of a request -> curves, endpoints, warnings, the command line
    answer       what of it goes into JSON, in how many points and digits
    pace         how many subjects there is time for, as measured
    points       the published numbers behind the fit, as points over the curves
    views        what the page may ask, a function for each of its views
    seeing, person   answers of views that look at one schedule, and at one person
    saving       what leaves the page as a file
    saved        its state as a file, which is opened again
    detail       a piece of time, enlarged
    server       paths, headers, limits, threads; ``Site``
"""

from pkpd.present.web.saved import read_state as read_state
from pkpd.present.web.server import Site as Site
