"""Brings nbmf into a live memory service, a share of the keys at a time: writes go by the stub, by nbmf, or by both.

>>> from nbmf.router import Router, Routing
>>> router = Router("memory", routing=Routing(mode="read_through", percent=10))  # doctest: +SKIP
>>> router.write("session-7", "chat", {"role": "user", "content": "…"})  # doctest: +SKIP
>>> router.read("session-7", "chat")  # doctest: +SKIP
"""

from nbmf.router.alerts import Alert
from nbmf.router.coding import WrongRecord
from nbmf.router.router import Router
from nbmf.router.routing import Mode, Routing

__all__ = ["Alert", "Mode", "Router", "Routing", "WrongRecord"]
