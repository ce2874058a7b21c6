"""The verbs that change refs."""
