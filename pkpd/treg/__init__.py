"""What is particular to interleukin-2 and regulatory T cells: endpoints, tolerability, defaults.

    endpoints.toml   endpoints, how outputs are shown, what the page and the search begin with
    tolerability     how likely an adverse event is, of the published counts
    field            both of them, registered for whoever compares schedules

This file is read whenever a command starts, and holds defaults only.
"""

FIT = "low_dose_il2"
"""The fit that is meant where none is named."""
