"""A conversation as the store has it."""
