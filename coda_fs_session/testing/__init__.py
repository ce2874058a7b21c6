"""Tools to test a store as the world treats it; hypothesis is needed for `strategies` only (the extra "testing")."""
