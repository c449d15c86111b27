"""Published summaries as data: rows, the reader, arms, and the likelihood of each kind of row."""
