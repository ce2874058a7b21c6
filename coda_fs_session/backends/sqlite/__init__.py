"""A store in one SQLite database."""
