"""Conversations as files that are handed on."""
