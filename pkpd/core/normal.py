"""Numbers of the normal distribution that more than one room needs."""

Z95 = 1.959963984540054
"""Within so many standard deviations of its mean lies 95 % of a normal distribution."""
