"""How the fixtures are made: one module for each of them."""
