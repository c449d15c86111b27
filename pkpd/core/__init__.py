"""What every other room stands on: errors, checked arguments, files, strict tables, units, the library of
models and fits."""
