"""The methods: tables of coefficients that check themselves, and what one step computes."""
