"""Client of moed, the server of mixture-of-experts layers.

    with moed.Client("http://127.0.0.1:8080") as client:
        output = client.forward(hidden, layer=0).output

AsyncClient is the same for asyncio. moed.transformers, which needs torch, gives a model of
Hugging Face transformers its experts through a client.
"""

from .aio_client import AsyncClient
from .answers import Result, Routing
from .client import Client
from .errors import (ConnectionFailed, DeadlineExceeded, MoedError, Overloaded, ProtocolError,
                     ServerDeadlineExceeded, ServerError, ShardError, Unavailable)
from .info import Info, Layer
from .pending import Pending
from .retry import Retry
from .settings import Settings
from .shards import Shards

__all__ = ["AsyncClient", "Client", "ConnectionFailed", "DeadlineExceeded", "Info", "Layer",
           "MoedError", "Overloaded", "Pending", "ProtocolError", "Result", "Retry", "Routing",
           "ServerDeadlineExceeded", "ServerError", "Settings", "ShardError", "Shards",
           "Unavailable"]
