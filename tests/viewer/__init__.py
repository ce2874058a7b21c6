"""Tests of the viewer: texts, pages, the server, a browser."""
