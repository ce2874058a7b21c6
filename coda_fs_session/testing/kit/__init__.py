"""The tests behind `coda_fs_session.testing`: a module for each group of verbs."""
