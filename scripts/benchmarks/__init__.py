"""What `scripts/bench` measures: one module for each kind of row, and what they share."""
