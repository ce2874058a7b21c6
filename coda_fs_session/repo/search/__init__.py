"""Full text, kept outside the store: what is found is always in the store."""
