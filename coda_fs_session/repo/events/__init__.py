"""What changed in a store, told while it happens."""
