"""Across sessions: what tells them apart, and what brings them together. Pure."""
