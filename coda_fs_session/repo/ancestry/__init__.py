"""Which state came from which, and what is shown of several. Nothing here writes."""
