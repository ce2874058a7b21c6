"""`python -m coda_fs_session` is the command `coda-session`."""

from .cli import main

if __name__ == "__main__":
    main()
