"""Units and generated functions -> machine code, kept on disk."""
