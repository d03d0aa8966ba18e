"""Memories of what training users were like and how they adapted, read and written by attention on the profile."""

from collections.abc import Sequence

import torch
from torch import Tensor, distributed, nn
from torch.nn import functional


class Memories(nn.Module):
    """K slots, each with a profile, gradients and a preference matrix; none of them is a parameter.

    A user of profile p attends to slot k with a_k = softmax_k(cos(p, profile_k) / temperature), and reads from a memory
    M the sum_k a_k M_k. Users i = 1 .. T that leave x_i in it move each slot by

        M_k <- (1 - rate) M_k + rate * mean_i a_ik x_i.

    Reads and writes have no gradients. Profiles are drawn from the normal distribution at first, all else is 0.
    Several processes write what the users of all of them leave.

    Args:
        slots: K, >= 1.
        profile: width of a profile.
        gradients: shapes of the parameters whose gradients are held.
        preference: width of the square preference matrix.
        temperature: of the attention, > 0.
    """

    profile: Tensor
    preference: Tensor

    def __init__(
        self, slots: int, profile: int, gradients: Sequence[torch.Size], preference: int, temperature: float
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.register_buffer("profile", torch.randn(slots, profile))
        for number, shape in enumerate(gradients):
            self.register_buffer(f"gradient{number}", torch.zeros(slots, *shape))
        self.register_buffer("preference", torch.zeros(slots, preference, preference))

    @torch.no_grad()
    def attention(self, profile: Tensor) -> Tensor:
        """Shares (T, K) of the slots in users of profiles (T, D); all the same for a profile of zeros."""
        cosine = functional.cosine_similarity(profile.unsqueeze(1), self.profile, dim=2)
        return torch.softmax(cosine.to(self.profile.dtype) / self.temperature, dim=1)

    @torch.no_grad()
    def read(self, attention: Tensor) -> tuple[list[Tensor], Tensor]:
        """Gradients, each (T, ...), and preference matrices (T, W, W) for users of attention (T, K)."""
        with torch.autocast(attention.device.type, enabled=False):
            _, *gradients, preference = [torch.einsum("tk,k...->t...", attention, own) for own in self.buffers()]
        return gradients, preference

    @torch.no_grad()
    def left(self, attention: Tensor, contents: Sequence[Tensor]) -> list[Tensor]:
        """What users leave in each memory: sum_i a_ik x_i, (K, ...).

        Args:
            attention: of T users, (T, K).
            contents: their x: profiles (T, D), gradients, each (T, ...), and preference matrices (T, W, W).
        """
        with torch.autocast(attention.device.type, enabled=False):
            return [torch.einsum("tk,t...->k...", attention, x.to(attention.dtype)) for x in contents]

    @torch.no_grad()
    def write(self, left: Sequence[Tensor], users: int, profile: float, gradient: float, preference: float) -> None:
        """Move all slots.

        Args:
            left: what `left` says of all users.
            users: how many there are.
            profile: rate of that memory, >= 0 and <= 1.
            gradient: rate of those memories.
            preference: rate of that memory.
        """
        count = self.profile.new_tensor(float(users))
        if distributed.is_available() and distributed.is_initialized():
            for total in (count, *left):
                distributed.all_reduce(total)
        rates = [profile, *[gradient] * (len(left) - 2), preference]
        for own, total, rate in zip(self.buffers(), left, rates, strict=True):
            own.lerp_(total / count, rate)
