"""What is kept, and whether it is whole."""
