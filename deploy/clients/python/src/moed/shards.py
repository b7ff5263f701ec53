"""Which server serves which layer, from what each says about itself."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping

from .errors import MoedError, ShardError
from .info import Info, Layer


def _ranges(indices: Iterable[int]) -> str:
    """0-3,7 of 0, 1, 2, 3, 7."""
    parts = []
    for _, run in itertools.groupby(enumerate(sorted(indices)), lambda pair: pair[1] - pair[0]):
        numbers = [index for _, index in run]
        parts.append(str(numbers[0]) if len(numbers) == 1 else f"{numbers[0]}-{numbers[-1]}")
    return ",".join(parts) or "none"


Held = tuple[tuple[int, int], ...]  # ranges of experts, first and last


def _cover(layer: Layer, held: Iterable[Held]) -> list[Held]:
    """Those that hold each expert of the layer once between them; one that has all, if there is."""
    kinds = sorted(held)
    whole: Held = ((0, layer.experts - 1),)
    if whole in kinds:
        return [whole]
    count = [0] * layer.experts
    for first, last in itertools.chain.from_iterable(kinds):
        for expert in range(first, last + 1):
            count[expert] += 1
    for wrong, what in ((0, "no server holds"), (2, "servers with different parts hold")):
        experts = [expert for expert, times in enumerate(count) if min(times, 2) == wrong]
        if experts:
            raise ShardError(f"layer {layer.index}: {what} experts {_ranges(experts)}")
    return kinds


def _check_same(url: str, info: Info, first_url: str, first: Info) -> None:
    for what in ("architecture", "moe_layers"):
        found, expected = getattr(info, what), getattr(first, what)
        if found != expected:
            raise ShardError(f"{url} has {what} {found}, {first_url} has {expected}: "
                             "they do not serve one model")


class Shards:
    """A map of layers to the servers that have them. Immutable but for whose turn it is."""

    def __init__(self, infos: Mapping[str, Info],
                 unreachable: Mapping[str, MoedError] | None = None) -> None:
        """ShardError where two servers contradict each other."""
        self.unreachable = dict(unreachable or {})
        if not infos:
            reasons = "; ".join(str(error) for error in self.unreachable.values())
            raise ShardError(f"no server answers: {reasons or 'none is named'}")
        self.infos = dict(infos)
        self.layers: dict[int, Layer] = {}
        self._urls: dict[int, dict[Held, list[str]]] = {}
        self._turn = itertools.count()
        first_url, first = next(iter(infos.items()))
        for url, info in infos.items():
            _check_same(url, info, first_url, first)
            for layer in info.layers.values():
                self._add(url, layer)
        self.moe_layers = first.moe_layers
        self.architecture = first.architecture

    def _add(self, url: str, layer: Layer) -> None:
        known = self.layers.setdefault(layer.index, layer)
        if known != layer:
            other = self.replicas(layer.index)[0]
            raise ShardError(f"layer {layer.index} differs: {url} has {layer}, {other} has {known}")
        self._urls.setdefault(layer.index, {}).setdefault(layer.held, []).append(url)

    @property
    def missing(self) -> tuple[int, ...]:
        """Layers of the model that no server serves."""
        return tuple(index for index in self.moe_layers if index not in self.layers)

    def replicas(self, layer: int) -> tuple[str, ...]:
        """The servers that have a layer or some of its experts."""
        return tuple(itertools.chain.from_iterable(self._urls.get(layer, {}).values()))

    def parts(self, layer: int) -> list[list[str]]:
        """Whom to ask for a layer: one list of replicas, or one for each part of its experts. In
        each list, another is the first in turn."""
        kinds = self._urls.get(layer)
        if kinds is None:
            away = "".join(f"; not reached: {url}" for url in self.unreachable)
            raise ShardError(f"no server serves layer {layer}; served are "
                             f"{_ranges(self.layers)}{away}")
        turn = next(self._turn)
        lists = [kinds[held] for held in _cover(self.layers[layer], kinds)]
        return [urls[turn % len(urls):] + urls[:turn % len(urls)] for urls in lists]

    def limit(self, name: str) -> int | None:
        """The least of a limit over all servers; None if none tells it."""
        return min((info.limits[name] for info in self.infos.values() if name in info.limits),
                   default=None)
