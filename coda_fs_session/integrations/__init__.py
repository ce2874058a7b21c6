"""Sessions of this package for agent frameworks: a module, or a folder, for each, which alone imports the framework.

Each needs the extra of its name, such as ``pip install 'coda-fs-session[openai-agents]'``. The page on frameworks of
the manual says what each is called and what its sessions hold.
"""
