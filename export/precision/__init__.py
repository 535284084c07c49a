"""Graphs of a lower precision: made of the fp32 graphs, proven beside them, and cured where they overflow."""
