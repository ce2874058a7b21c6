"""From a name to a state. Nothing here writes."""
