"""Everything that changes files goes through here."""
