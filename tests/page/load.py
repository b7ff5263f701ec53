"""Clients that keep a server busy: batches of rows around a few centres, layer after layer, as a
model would send them."""
import array
import contextlib
import random
import threading

import harness
import model


def rows(rng, centre, count):
    return array.array("f", (rng.gauss(mean, 0.9) for _ in range(count) for mean in centre)).tobytes()


def run(server, layers, seed, stop):
    rng = random.Random(seed)
    centre = [rng.gauss(0, 1) for _ in range(model.HIDDEN)]
    with contextlib.closing(server.connect()) as connection:
        while not stop.is_set():
            body = rows(rng, centre, int(2 ** rng.uniform(0, 7)))
            for layer in range(layers):
                harness.ask(connection, "POST", f"/v1/moe/layers/{layer}/forward", body, harness.RAW)
            stop.wait(rng.uniform(0, 0.1))


@contextlib.contextmanager
def clients(server, layers, count=2):
    """Under load as long as the context lasts."""
    stop = threading.Event()
    threads = [threading.Thread(target=run, args=(server, layers, seed, stop)) for seed in range(count)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
