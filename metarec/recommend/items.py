"""The item side of a net, computed once for all users."""

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from metarec.errors import InputError
from metarec.nets.base import Encoded, Net, NoNet
from metarec.nets.dense import DenseDecoder

WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""An integer type for each size of an element in bytes."""


class ItemRows(NamedTuple):
    """What a net's scores need of R items.

    Attributes:
        vector: the encoder's item vectors, (R, D); of width 0 for a predictor without a net.
        bias: item biases, (R,).
        input: second part of the decoder's input, (R, Di); null where there is no `projected`.
        projected: W_item x of each item x in `input`, W_item the first dense layer's columns for it, (R, out); null
            where the decoder has no such layer.
    """

    vector: Tensor
    bias: Tensor
    input: Tensor | None = None
    projected: Tensor | None = None

    def at(self, item: Tensor) -> "ItemRows":
        """Those of the rows `item` (C,)."""
        vector, bias, *others = self
        return ItemRows(vector[item], bias[item], *(None if part is None else part[item] for part in others))


class ItemIndex:
    """What a net's scores need of the items, for all of them, as long as the net's parameters stay as they are.

    Holds ``items * (D + 1 + Di + out)`` numbers: vectors, biases and, where the decoder is a stack of dense layers,
    what the items add to its first layer's outputs, so that scoring a user costs the later layers only; those of the
    catalogue a second time if it is not all items. If that is not too large, it also holds ``items * C`` inner
    products: what an adapted first layer adds to an item's outputs depends on its inner products with the support
    items.

    Args:
        net: the net, trained.
        catalogue: item rows to score for each user, such as those on offer, (C,); null: all, the unknown row 0 too.
            Support items need not be among them.
        gram_bytes: what the inner products may take; the default is enough for 4,096 items in single precision.

    Raises:
        InputError: `catalogue` is empty, or has something else than item rows of the net.

    Attributes:
        net: the net.
        items: number of items, the unknown row 0 included.
        catalogue: the item rows to score, (C,).
        every: of all items.
        offered: of the catalogue's, in its order.
        gram: inner products of all items and the catalogue's in `ItemRows.input`, and a last row of ones, those of a
            bias, (items + 1, C); null where there is no `input`, or it would be too large.
        layers: weight and bias of each dense layer, the head last; only where there is `projected`.
        user_weight: the first one's columns for the user part, (out, Du); likewise.
        item_weight: those for the item part, (out, Di); likewise.
        reason: why there is no `projected`, else empty.
    """

    every: ItemRows
    offered: ItemRows
    gram: Tensor | None = None
    layers: list[tuple[Tensor, Tensor]]
    user_weight: Tensor
    item_weight: Tensor
    reason: str = ""

    def __init__(self, net: Net, catalogue: Tensor | None = None, gram_bytes: int = 2**26) -> None:
        self.net, self.items = net, int(net.schema["items"])
        self.holders = [held for module in net.modules() for held in (module._parameters, module._buffers)]
        self.made_of = digest(net)
        self._watch()
        with torch.no_grad():
            self.every = self._encoded()
            rows = torch.arange(self.items, device=self.every.bias.device)
            self.catalogue = rows if catalogue is None else _item_rows(catalogue, rows)
            self.offered = self.every if catalogue is None else self.every.at(self.catalogue)
            self.gram = self._gram(gram_bytes)

    def _encoded(self) -> ItemRows:
        """Of all items; sets the layers or `reason`."""
        if isinstance(self.net, NoNet):
            self.reason = "there is no net"
            return ItemRows(torch.zeros(self.items, 0), torch.zeros(self.items))
        rows = torch.arange(self.items, device=next(self.net.parameters()).device)[None]
        encoded = self.net.encoder(rows.new_zeros(1), rows)
        return ItemRows(encoded.item[0], encoded.bias[0], *self._projected(encoded))

    def _projected(self, encoded: Encoded) -> tuple[Tensor, Tensor] | tuple[()]:
        """Second part of the decoder's input, and it projected; nothing, and `reason` set, if there can be none."""
        decoder = self.net.decoder
        if not isinstance(decoder, DenseDecoder):
            self.reason = "the decoder is not a stack of dense layers"
            return ()
        if decoder.training and decoder.dropout.p > 0:
            self.reason = "dropout draws anew for each user; call eval() first"
            return ()
        input, other = (decoder.inputs(encoded._replace(user=encoded.user + shift)).item[0] for shift in (0.0, 1.0))
        if not torch.equal(input, other):
            self.reason = "what the decoder is fed of an item depends on the user"
            return ()
        layers: Any = [*decoder.layers, decoder.head]
        self.layers = [(layer.weight.detach().clone(), layer.bias.detach().clone()) for layer in layers]
        weight = self.layers[0][0]
        self.user_weight, self.item_weight = weight[:, : decoder.user_width], weight[:, decoder.user_width :]
        return input, functional.linear(input, self.item_weight)

    def _gram(self, most: int) -> Tensor | None:
        """Inner products, if they take no more than so many bytes."""
        every, offered = self.every.input, self.offered.input
        if every is None or offered is None or self.items * len(offered) * every.element_size() > most:
            return None
        gram = every.new_ones(self.items + 1, len(offered))
        torch.mm(every, offered.t(), out=gram[:-1])
        return gram

    def require_fresh(self, net: Net) -> None:
        """Refuse to serve another net than the one this was made of.

        Raises:
            InputError: it is another net, or its parameters or attribute tables have changed.
        """
        if net is not self.net:
            raise InputError("the item index belongs to another net; make one of this net: ItemIndex(net)")
        if self._state() == self.state and all(map(torch.equal, self.sample, self.seen)):
            return
        if digest(net) != self.made_of:
            raise InputError("the net has changed since its item index was made; make it anew: ItemIndex(net)")
        self._watch()

    def _watch(self) -> None:
        """Note what tells cheaply whether to look closer.

        What writes through ``.data`` leaves version counters alone; Lightning's weight averaging does so, to all
        parameters at once. So the values of the last one count as well.
        """
        self.state = self._state()
        self.sample = [parameter.detach() for parameter in [*self.net.parameters()][-1:]]
        self.seen = [parameter.clone() for parameter in self.sample]

    def _state(self) -> list[int]:
        """Places and version counters of all parameters and buffers."""
        tensors = [tensor for held in self.holders for tensor in held.values() if tensor is not None]
        return [*map(Tensor.data_ptr, tensors), *map(_version, tensors)]

    def gather(self, user: Tensor, item: Tensor) -> Encoded:
        """What the encoder would say of users with vectors `user` (T, 1, D) and the items `item` (T, R)."""
        return Encoded(user, functional.embedding(item, self.every.vector), self.every.bias.take(item))

    def block(self, user: Tensor, start: int, stop: int) -> Encoded:
        """The same for the catalogue's ``start .. stop``, (T, stop - start), without a copy of their vectors."""
        vectors, biases = self.offered.vector[start:stop], self.offered.bias[start:stop]
        return Encoded(user, vectors.expand(len(user), *vectors.shape), biases.expand(len(user), -1))


def _item_rows(catalogue: Tensor, rows: Tensor) -> Tensor:
    """The catalogue on the device of `rows`, all item rows.

    Raises:
        InputError: see `ItemIndex`.
    """
    if catalogue.dim() != 1 or not len(catalogue) or catalogue.is_floating_point() or catalogue.dtype == torch.bool:
        raise InputError(f"a catalogue is a list of item rows, int64 (C,), not {catalogue.dtype} {[*catalogue.shape]}")
    least, most = (int(end) for end in catalogue.aminmax())
    if least < 0 or most >= len(rows):
        raise InputError(f"the catalogue has rows {least} .. {most}, the net knows 0 .. {len(rows) - 1}")
    return catalogue.to(rows)


def digest(net: Net) -> list[object]:
    """Devices, and the sums of the bits of all parameters and buffers, read as integers.

    Equal to what it was as long as no value has changed; that rows have only changed places does not show.
    """
    tensors = [*net.parameters(), *net.buffers()]
    return [{tensor.device for tensor in tensors}, *(int(_bits(tensor)) for tensor in tensors)]


def _bits(tensor: Tensor) -> Tensor:
    """The sum of the tensor's bits as integers, int64; eight bytes at a time where that divides it."""
    flat = tensor.detach().reshape(-1)
    size = flat.element_size()
    whole = flat.numel() * size % 8 == 0 and flat.storage_offset() * size % 8 == 0
    return flat.view(torch.int64 if whole else WORDS[size]).sum(dtype=torch.int64)


def _version(tensor: Tensor) -> int:
    """The tensor's version counter; one made in inference mode has none."""
    return -1 if tensor.is_inference() else tensor._version
