"""What the engine loads only when somebody asks for it: modules that take no part in showing a session."""

from __future__ import annotations

TYPE_CHECKING = False  # as in manager/late.py
if TYPE_CHECKING:
    from .ancestry import resolve as resolve
    from .lookup import listing as listing
    from .lookup import own_side as own_side
    from .maintenance import letting_go as letting_go
    from .maintenance import obeying as obeying
    from .reverts import plans as plans
    from .reverts import put_back as put_back
    from .writing import attempts as attempts
    from .writing import going_back as going_back
    from .writing import lifecycle as lifecycle
    from .writing import refs as refs
    from .writing import save as save
    from .writing import transaction as transaction
    from .writing import trial as trial
else:
    from ..process.loading import loading

    _ROOMS = {
        **dict.fromkeys(("listing", "own_side"), "lookup"),
        "resolve": "ancestry",
        **dict.fromkeys(("letting_go", "obeying"), "maintenance"),
        **dict.fromkeys(("plans", "put_back"), "reverts"),
        **dict.fromkeys(("attempts", "going_back", "lifecycle", "refs", "save", "transaction", "trial"), "writing"),
    }

    def __getattr__(name: str) -> object:
        """Import a module when it is first asked for (PEP 562)."""
        from importlib import import_module

        if name in _ROOMS:
            with loading():
                globals()[name] = module = import_module(f".{_ROOMS[name]}.{name}", __package__)
            return module
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
