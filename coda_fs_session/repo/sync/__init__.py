"""Exchanging what two stores have."""
