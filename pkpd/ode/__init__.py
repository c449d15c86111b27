"""The ode package: numba on arrays; it knows no models, doses or units."""
