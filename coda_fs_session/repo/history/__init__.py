"""What a session was: its moments, and going back to one of them."""
