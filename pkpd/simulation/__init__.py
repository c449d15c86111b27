"""Profiles of single subjects and of the people of a data file, for people."""
