"""An older copy of this machine's files came back: telling it, and putting back what it lacks."""
