"""A store in a bucket of an object storage: its keys are the paths of a store in a folder."""
