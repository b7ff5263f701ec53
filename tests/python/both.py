"""Every test of calls is run twice: by the blocking client and by the asyncio one, which a loop of
its own makes to look alike."""
import asyncio

import moed


class Blocking(moed.Client):
    """As it is."""


class Asyncio:
    """An AsyncClient whose coroutines are run to their end."""

    def __init__(self, *arguments):
        self.loop = asyncio.new_event_loop()
        self.client = moed.AsyncClient(*arguments)

    def run(self, coroutine):
        return self.loop.run_until_complete(coroutine)

    def forward(self, *arguments, **options):
        return self.run(self.client.forward(*arguments, **options))

    def submit(self, *arguments, **options):
        async def begin():
            return self.client.submit(*arguments, **options)
        return Task(self, self.run(begin()))

    def route(self, *arguments, **options):
        return self.run(self.client.route(*arguments, **options))

    def info(self, **options):
        return self.run(self.client.info(**options))

    @property
    def shards(self):
        return self.run(self.client.shards())

    def refresh(self):
        return self.run(self.client.refresh())

    def __enter__(self):
        return self

    def __exit__(self, *trace):
        self.run(self.client.close())
        self.loop.close()


class Task:
    """A task of that loop, as a pending call of the blocking client."""

    def __init__(self, owner, task):
        self.owner, self.task = owner, task

    def done(self):
        return self.task.done()

    def result(self, timeout=None):
        return self.owner.run(asyncio.wait_for(asyncio.shield(self.task), timeout))


def both(case):
    """A class decorator: leaves NAMEBlocking and NAMEAsyncio in the module, with `make` set."""
    import sys
    module = sys.modules[case.__module__]
    for kind in (Blocking, Asyncio):
        name = case.__name__ + kind.__name__
        setattr(module, name, type(name, (case,), {"make": kind, "__module__": case.__module__}))
    return None
