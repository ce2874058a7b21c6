"""What the refs say, kept so that they need not be read again. Deleting it loses nothing."""
