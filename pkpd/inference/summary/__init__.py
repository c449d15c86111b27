"""Published summaries as data: rows, and their likelihood."""
