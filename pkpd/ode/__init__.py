"""The ode package: numerical code on arrays, compiled by LLVM; it knows no models, doses or units."""
