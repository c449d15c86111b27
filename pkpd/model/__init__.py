"""The model language: text, checked model, derivatives, generated source."""

# Part of the key under which generated modules are cached. Raise it with every change that changes what is
# generated from an unchanged model text; tests/solver/test_kernel.py holds a digest that notices. (It stands
# here, where no sympy is loaded.)
GENERATOR = 9
