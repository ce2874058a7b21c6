"""What this machine keeps beside the store, in the state folder."""
