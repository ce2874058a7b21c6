"""The Git-like engine: sessions as refs and objects, written once over any backend."""
