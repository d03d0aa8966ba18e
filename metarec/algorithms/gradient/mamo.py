"""Memory-augmented meta-optimization, MAMO (Dong et al., KDD 2020, arXiv 2007.03183)."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from metarec.algorithms.base import Algorithm, Fast
from metarec.algorithms.engines.base import encode, require_gradients, score
from metarec.algorithms.engines.batched import few_parts
from metarec.algorithms.gradient.memories import Memories
from metarec.algorithms.inner_loop import FastWeights, InnerLoop, adapting, stacked
from metarec.algorithms.losses import LossName, loss_named
from metarec.algorithms.sets import vector_widths
from metarec.data.tasks import Rows, TaskBatch
from metarec.errors import InputError, at_least
from metarec.nets.base import Encoded, Net

PREFERENCE = "preference"
"""Name of the preference matrices among the fast weights."""


class Personal(NamedTuple):
    """Where T users begin, and what that came from.

    Attributes:
        profile: their user vectors, (T, D).
        attention: to the slots of the memories, (T, K).
        start: `personal` parameters, each (T, ...), and preference matrices, (T, W, W).
    """

    profile: Tensor
    attention: Tensor
    start: Fast


class MAMO(Algorithm):
    """MAML from a start of each user's own, read from memories of how users with a similar profile adapted.

    The memories have K slots each: profiles M_P, gradients M_U and preference matrices M_UI. With p_i the user vector
    that the net makes of the attributes, a_i = softmax(cos(p_i, M_P) / temperature), user i begins at

        theta_i = theta - bias_scale * a_i' M_U in the parameters `personal`, theta in all others,
        M_i = a_i' M_UI, which scores with (I + mix * M_i) [user vector, item vector] in place of both vectors,

    and takes `adaptation_steps` gradient steps in theta_i and M_i on the support set. The outer loss is the mean over
    tasks of the query loss, differentiated through the steps; the outer optimizer moves theta. The outer loss also
    writes, in training only: each memory M becomes (1 - rate) M + rate * mean_i a_i x_i', where x_i is p_i, the mean of
    the inner gradients in `personal`, or M_i after the last step. Checkpoints hold the memories. Zero-shot is the
    prediction from a user's own start. With `bias_scale` and `mix` 0 this is MAML.

    Deviations: the matrix is added to the identity, and all memories but the profiles start at 0, not at random, so
    that training begins as MAML; a batch writes its mean at once, where the paper writes user by user, in an order that
    matters; attention has a temperature, 1 in the paper, and the user vector is a constant in it; the net's own user
    parameters and layers take the place of the paper's. The temperature is there because users move all slots much the
    same way: where user vectors have a common direction, slots at 1 become alike, and all users read the same.

    The authors' code does otherwise in some points: attention goes through a linear layer drawn afresh at random for
    each read; what is written to M_U is the gradient of the query loss after adaptation; the inner loop is Adam, the
    loss the cross-entropy of classes, on scores that the net has already put through a softmax, so that softmax is
    taken twice; the outer gradient is of first order; biases and profile embeddings adapt too, but are never set
    back from one user to the next, test users among them, who also write M_P; and the start of a test user is
    overwritten by the shared one, so that M_U changes no test result.

    Args:
        net: the net to start from; given by the configuration.
        adapts: which parameters adapt: groups of the net such as `user_prior` or `decision`, or patterns on parameter
            names; the paper's are those of user, item and rating layers.
        personal: which of them begin at a value of the user's own; of the decoder. The paper's are the user layers'.
        inner_lr: step size of the inner loop, the paper's rho, > 0.
        adaptation_steps: number of inner steps, >= 0.
        shrinkage: pseudo-ratings without error in each support set, see `InnerLoop`; 0 is the paper's loss.
        first_order: drop the second-order term.
        loss: of support and query sets: `squared_error` or `absolute_error` of ratings, or `binary_cross_entropy` or
            `bpr` of clicks.
        slots: K, >= 1.
        temperature: of the attention, > 0; the less, the more slots differ.
        bias_scale: tau, >= 0; 0: all users begin at the same parameters.
        mix: weight of the preference matrix, >= 0; 0: it counts for nothing.
        profile_rate: of writes to M_P, alpha, >= 0 and <= 1.
        gradient_rate: of writes to M_U, beta, >= 0 and <= 1.
        preference_rate: of writes to M_UI, gamma, >= 0 and <= 1.

    Raises:
        InputError: nothing adapts, `personal` does not adapt or is of the encoder, or a number is out of range.
    """

    def __init__(
        self,
        net: Net,
        adapts: Sequence[str] = ("user_prior", "decision"),
        personal: Sequence[str] = ("user_prior",),
        inner_lr: float = 0.1,
        adaptation_steps: int = 5,
        shrinkage: float = 0.0,
        first_order: bool = False,
        loss: LossName = "squared_error",
        slots: int = 3,
        temperature: float = 0.1,
        bias_scale: float = 0.01,
        mix: float = 1.0,
        profile_rate: float = 0.5,
        gradient_rate: float = 0.05,
        preference_rate: float = 0.1,
    ) -> None:
        super().__init__()
        at_least(1, slots=slots)
        at_least(0, bias_scale=bias_scale, mix=mix)
        if not temperature > 0:
            raise InputError(f"temperature {temperature}: give a number > 0")
        self.rates = {"profile": profile_rate, "gradient": gradient_rate, "preference": preference_rate}
        for name, rate in self.rates.items():
            if not 0 <= rate <= 1:
                raise InputError(f"{name}_rate {rate}: give a share >= 0 and <= 1")
        self.net, self.bias_scale, self.mix = net, bias_scale, mix
        names = adapting(net, adapts)
        self.personal = personal_names(net, personal, names)
        self.inner_loop = InnerLoop(
            [*names, PREFERENCE], inner_lr, adaptation_steps, shrinkage, first_order, loss_named(loss)
        )
        shapes = [net.get_parameter(name).shape for name in self.personal]
        widths = vector_widths(net)
        self.memories = Memories(slots, widths[0], shapes, sum(widths), temperature)

    def loss(self, batch: TaskBatch) -> Tensor:
        """Mean over tasks of the adapted model's loss on the query set; writes the memories where it is in training."""
        how, losses, left = self.inner_loop, [], []
        for part in few_parts(batch):
            own = self._own(part.task)
            end = self._descended(how, own, part.task, part.support)
            losses.append(how.loss.of_tasks(self._score(end, part.task, part.query.item), part.query))
            left.append(self.memories.left(own.attention, self._contents(own, end)))
        if self.training:
            totals = [torch.stack(each).sum(dim=0) for each in zip(*left, strict=True)]
            self.memories.write(totals, len(batch.task), **self.rates)
        return torch.cat(losses).mean()

    def adapt(self, task: Tensor, support: Rows) -> Fast:
        """Fast weights after `adaptation_steps` steps, `preference` (T, W, W) among them."""
        with torch.enable_grad():
            fast = self._descended(self.inner_loop.first(), self._own(task), task, support)
        return {name: weight.detach() for name, weight in fast.items()}

    def predict(self, fast: Fast, task: Tensor, item: Tensor) -> Tensor:
        """Predicted ratings (T, Q)."""
        return self._score(fast or self._own(task).start, task, item)

    def _own(self, task: Tensor) -> Personal:
        """Where the users `task` (T,) begin; differentiable in the shared parameters."""
        with torch.no_grad():
            profile = self.net.encode_user(task).squeeze(1)
        attention = self.memories.attention(profile)
        gradients, preference = self.memories.read(attention)
        start = {
            name: self.net.get_parameter(name) - self.bias_scale * gradient
            for name, gradient in zip(self.personal, gradients, strict=True)
        }
        return Personal(profile, attention, start | {PREFERENCE: preference})

    def _descended(self, how: InnerLoop, own: Personal, task: Tensor, support: Rows) -> Fast:
        """Fast weights after all steps from the users' own start."""
        require_gradients()
        tables = self.net.table_rows(task, support.item) if how.adapts_encoder else {}
        shared = {name: self.net.get_parameter(name) for name in how.names if name not in own.start}
        start = stacked(shared, len(task), tables) | own.start
        start[PREFERENCE] = start[PREFERENCE].requires_grad_()  # a step needs its gradient; no outer loss reaches it
        learner = how.learner(FastWeights({name: nn.Parameter(torch.empty(0)) for name in how.names})).clone()
        learner.module.put(start)
        encoded = None if how.adapts_encoder else encode(self.net, {}, task, support.item)
        for _ in range(how.adaptation_steps):
            scores = self._score(start | learner.module.fast(), task, support.item, encoded)
            learner.adapt(how.loss.of_tasks(scores, support, how.shrinkage).sum())
        end: Fast = learner.module.fast()
        return start | end

    def _score(self, fast: Fast, task: Tensor, item: Tensor, encoded: Encoded | None = None) -> Tensor:
        """Scores (T, R) with user and item vectors mixed by each user's preference matrix."""
        encoded = encode(self.net, fast, task, item) if encoded is None else encoded
        return score(self.net, fast, task, item, mixed(encoded, self.mix * fast[PREFERENCE]))

    def _contents(self, own: Personal, end: Fast) -> list[Tensor]:
        """What users that began at `own` and ended at `end` have for the memories."""
        how = self.inner_loop
        way = how.inner_lr * max(how.adaptation_steps, 1)
        gradients = [(own.start[name] - end[name]).detach() / way for name in self.personal]
        return [own.profile, *gradients, end[PREFERENCE].detach()]


def mixed(encoded: Encoded, matrix: Tensor) -> Encoded:
    """What the decoder is given: x + M x in place of x = [user vector, item vector], row by row.

    Args:
        encoded: of T users and R items each.
        matrix: M of each user, (T, W, W), with W the widths of both vectors together.
    """
    rows, width = encoded.item.shape[1], encoded.user.shape[-1]
    vectors = torch.cat([encoded.user.expand(-1, rows, -1), encoded.item], dim=2)
    user, item = (vectors + torch.bmm(vectors, matrix.mT)).tensor_split([width], dim=2)
    return Encoded(user, item, encoded.bias)


def personal_names(net: Net, patterns: Sequence[str], adapts: Sequence[str]) -> list[str]:
    """Names of the parameters that begin at a value of each user's own.

    Args:
        net: the net.
        patterns: see `adapting`.
        adapts: names of the parameters that adapt.

    Raises:
        InputError: a pattern matches nothing, or a parameter that does not adapt or is of the encoder.
    """
    names = adapting(net, patterns)
    for name in names:
        if name not in adapts:
            raise InputError(f"personal: {name} does not adapt; add it to adapts, or leave it out")
        if name.startswith("encoder."):
            raise InputError(f"personal: {name} is of the encoder; give parameters of the decoder, such as user_prior")
    return names
