"""The on-disk format as pure functions: bytes to values and back. No I/O, no clock, no randomness.

`FORMAT.md` beside this package is the normative text; each module here implements one of its chapters.
"""
