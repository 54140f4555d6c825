"""Coder 9: repeats cut out, and what is left in windows."""
