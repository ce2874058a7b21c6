"""Machines, clocks and sync tools, in histories that a seed repeats."""
