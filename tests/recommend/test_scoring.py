"""The algorithm's own `predict(adapt(...))`, user by user, is the oracle of every score."""

from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional

from metarec.algorithms.base import Algorithm
from metarec.algorithms.gradient.maml import MAML
from metarec.algorithms.plain.pretrain import Pretrain
from metarec.algorithms.update_rules import MetaSGD
from metarec.baselines.als import AlternatingLeastSquares
from metarec.baselines.popularity import Popularity
from metarec.data.draws import draw
from metarec.data.ratings import Ratings
from metarec.data.tasks import EpisodeSizes, Rows, TaskBatch, alone, pack
from metarec.errors import InputError
from metarec.nets.base import NoNet
from metarec.recommend import ItemIndex, adapt_and_score, memory, score_all, scoring
from metarec.recommend.dense import Layer, Mix
from tests.conftest import tiny_melu, tiny_net

melu_net = partial(tiny_melu, hidden=(6, 4))
NETS = {"melu": melu_net, "neumf": tiny_net}


@pytest.fixture(scope="module")
def many(ratings: Ratings) -> TaskBatch:
    """All users, with 1 to 12 support ratings and 1 to 5 query ratings."""
    tasks = pack(ratings, np.arange(len(ratings)))
    batch = draw(tasks, torch.arange(40), EpisodeSizes(1, 12, 5), torch.Generator().manual_seed(0), shuffle=True)
    mask = batch.query.mask & (torch.arange(5) <= batch.task[:, None] % 5)
    return batch._replace(query=Rows(*(column * mask for column in batch.query)))


def retyped(batch: TaskBatch, dtype: torch.dtype) -> TaskBatch:
    support, query = (rows._replace(rating=rows.rating.to(dtype)) for rows in (batch.support, batch.query))
    return batch._replace(support=support, query=query)


def oracle(algorithm: Algorithm, batch: TaskBatch, item: torch.Tensor | None = None) -> torch.Tensor:
    """Scores (T, R) of the items (R,), or of each query set, by the algorithm itself on one user at a time."""
    rows = []
    for number in range(len(batch.task)):
        one = alone(batch, number)
        asked = batch.query.item[number] if item is None else item
        rows.append(algorithm.predict(algorithm.adapt(one.task, one.support), one.task, asked[None])[0].detach())
    scores = torch.stack(rows)
    return scores if item is not None else scores.masked_fill(~batch.query.mask, 0.0)


CASES = [
    ("melu", ["decision"], ""),
    ("melu", ["head"], ""),
    ("melu", ["decoder.layers.1.*", "head"], ""),
    ("melu", ["all"], "the embeddings adapt"),
    ("neumf", ["decision"], ""),
    ("neumf", ["decision", "head"], ""),
    ("neumf", ["head"], ""),
    ("neumf", ["user_prior"], "no dense layer adapts"),
    ("neumf", ["all"], "decoder.user_prior adapts"),
]


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize(("name", "adapts", "reason"), CASES)
def test_scores_are_the_algorithms_own(
    ratings: Ratings,
    many: TaskBatch,
    name: str,
    adapts: list[str],
    reason: str,
    steps: int,
    dtype: torch.dtype,
    tolerance: float,
) -> None:
    algorithm = MAML(NETS[name](ratings).to(dtype), adapts, 0.1, steps, shrinkage=2.0)
    batch = retyped(many, dtype)
    index, every = ItemIndex(algorithm.net), torch.arange(31)
    scored = adapt_and_score(algorithm, batch, index)
    assert scored.report.reason == reason
    torch.testing.assert_close(scored.scores, oracle(algorithm, batch), rtol=0, atol=tolerance)
    catalogue = oracle(algorithm, batch, every)
    bare = ItemIndex(algorithm.net, gram_bytes=31 * 31 * dtype.itemsize - 1)
    assert (index.gram is not None, bare.gram is None) == (True, True)
    for users in (slice(None), slice(3, 4)):
        support = Rows(*(column[users] for column in batch.support))
        for items in (index, bare):
            scores = score_all(algorithm, items, batch.task[users], support)
            torch.testing.assert_close(scores, catalogue[users], rtol=0, atol=tolerance)
    offered = torch.tensor([29, 3, 17, 3])
    scores = score_all(algorithm, ItemIndex(algorithm.net, offered), batch.task, batch.support)
    torch.testing.assert_close(scores, catalogue[:, offered], rtol=0, atol=tolerance)
    assert (catalogue.std(dim=0) > 0).all()  # users differ: adaptation did something


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda net: MAML(net, ["head"], adaptation_steps=0), "there is no inner step"),
        (lambda net: MAML(net, ["decision"], update_rule=MetaSGD), "the update rule is not a plain gradient step"),
        (lambda net: Pretrain(net, ["head"], adaptation_steps=2), ""),
        (lambda net: MAML(net, ["decision"], 0.1, 3, loss="absolute_error"), ""),
        (AlternatingLeastSquares, "AlternatingLeastSquares has its own way to adapt or predict"),
    ],
)
def test_other_algorithms(ratings: Ratings, many: TaskBatch, make: type[Algorithm], reason: str) -> None:
    algorithm = make(tiny_net(ratings))
    algorithm.prepare(ratings, pack(ratings, np.arange(len(ratings))))
    scored = adapt_and_score(algorithm, many)
    assert scored.report.reason == reason
    torch.testing.assert_close(scored.scores, oracle(algorithm, many), rtol=0, atol=1e-5)
    scores = score_all(
        algorithm, ItemIndex(tiny_net(ratings) if reason.startswith("Alt") else algorithm.net), *many[:2]
    )
    torch.testing.assert_close(scores, oracle(algorithm, many, torch.arange(31)), rtol=0, atol=1e-5)
    offered = torch.tensor([9, 2, 30])
    index = ItemIndex(tiny_net(ratings) if reason.startswith("Alt") else algorithm.net, offered)
    scores = score_all(algorithm, index, *many[:2])
    torch.testing.assert_close(scores, oracle(algorithm, many, offered), rtol=0, atol=1e-5)


def test_a_subclass_with_its_own_predict_is_asked_itself(ratings: Ratings, many: TaskBatch) -> None:
    class Doubled(MAML):
        def predict(self, fast: dict, task: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
            return 2 * super().predict(fast, task, item)

    algorithm = Doubled(tiny_net(ratings), ["decision"])
    scores = score_all(algorithm, ItemIndex(algorithm.net), many.task, many.support)
    torch.testing.assert_close(scores, oracle(algorithm, many, torch.arange(31)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NETS)
def test_shallow_decoders(ratings: Ratings, many: TaskBatch, name: str) -> None:
    algorithm = MAML(NETS[name](ratings, hidden=[6]), ["decision"], 0.1, 2)
    scored = adapt_and_score(algorithm, many)
    assert scored.report.reason == ""
    torch.testing.assert_close(scored.scores, oracle(algorithm, many), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("rows", "largest"), [(1, 1), (40, 6), (9999, 39)])
@pytest.mark.parametrize("adapts", [["decision"], ["all"]])
def test_chunks_blocks_and_order_do_not_matter(
    ratings: Ratings, many: TaskBatch, adapts: list[str], rows: int, largest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    algorithm = MAML(melu_net(ratings), adapts, 0.1, 2)
    index = ItemIndex(algorithm.net)
    scores, catalogue = adapt_and_score(algorithm, many).scores, score_all(algorithm, index, many.task, many.support)
    monkeypatch.setattr(memory, "ROWS", rows)
    monkeypatch.setattr(scoring, "BLOCK", rows)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    support, query = (Rows(*(column[order] for column in rows)) for rows in (many.support, many.query))
    scored = adapt_and_score(algorithm, TaskBatch(many.task[order], support, query))
    assert scored.report.chunk == largest
    torch.testing.assert_close(scored.scores, scores[order], rtol=0, atol=1e-5)
    shuffled = score_all(algorithm, index, many.task[order], support)
    torch.testing.assert_close(shuffled, catalogue[order], rtol=0, atol=1e-5)


@pytest.mark.parametrize("adapts", [["decision"], ["all"]])
def test_padding_does_not_matter(ratings: Ratings, many: TaskBatch, adapts: list[str]) -> None:
    def padded(rows: Rows) -> Rows:  # on both sides, with what must not count
        item, rating = functional.pad(rows.item, (2, 3), value=3), functional.pad(rows.rating, (2, 3), value=99.0)
        mask = functional.pad(rows.mask, (2, 3))
        return Rows(torch.where(mask, item, 3), torch.where(mask, rating, 99.0), mask)

    algorithm = MAML(melu_net(ratings), adapts, 0.1, 2)
    wider = many._replace(support=padded(many.support), query=padded(many.query))
    scores, index = adapt_and_score(algorithm, many).scores, ItemIndex(algorithm.net)
    wide = adapt_and_score(algorithm, wider).scores
    torch.testing.assert_close(wide[:, 2:-3], scores, rtol=0, atol=1e-5)
    assert not wide[:, :2].any()
    torch.testing.assert_close(
        score_all(algorithm, index, wider.task, wider.support),
        score_all(algorithm, index, many.task, many.support),
        rtol=0,
        atol=1e-5,
    )


def test_widths_are_those_of_the_last_real_ratings() -> None:
    mask = torch.tensor([[True, False, True, False], [False] * 4, [True, True, False, False]])
    assert scoring._lengths(Rows(mask.long(), mask.float(), mask)).tolist() == [3, 0, 2]


def test_nobody_and_somebody_without_ratings(ratings: Ratings, many: TaskBatch) -> None:
    algorithm = MAML(melu_net(ratings), ["decision"])
    index = ItemIndex(algorithm.net)
    nobody = TaskBatch(*(Rows(*(c[:0] for c in part)) if isinstance(part, Rows) else part[:0] for part in many[:3]))
    assert adapt_and_score(algorithm, nobody).scores.shape == (0, 5)
    assert score_all(algorithm, index, nobody.task, nobody.support).shape == (0, 31)
    none = many.support._replace(mask=torch.zeros_like(many.support.mask))
    zero_shot = algorithm.predict({}, many.task, torch.arange(31).expand(40, -1))
    torch.testing.assert_close(score_all(algorithm, index, many.task, none), zero_shot, rtol=0, atol=1e-5)


def test_a_small_memory_makes_small_chunks_and_too_small_a_one_is_refused(ratings: Ratings, many: TaskBatch) -> None:
    algorithm = MAML(melu_net(ratings), ["all"], 0.1, 2)
    roomy = adapt_and_score(algorithm, many)
    alone_bytes = roomy.report.estimated // roomy.report.chunk
    tight = adapt_and_score(algorithm, many, memory=5 * alone_bytes)
    assert tight.report.chunk == 5
    assert tight.report.measured <= tight.report.budget == 5 * alone_bytes
    torch.testing.assert_close(tight.scores, roomy.scores, rtol=0, atol=1e-5)
    one = TaskBatch(*(Rows(*(c[:1] for c in part)) if isinstance(part, Rows) else part[:1] for part in many[:3]))
    single = adapt_and_score(algorithm, one)
    assert (single.report.chunk, single.report.measured) == (1, single.report.estimated)
    torch.testing.assert_close(single.scores, roomy.scores[:1], rtol=0, atol=1e-5)
    with pytest.raises(InputError, match=rf"one user alone takes {alone_bytes} bytes of 100; allow as many, or give"):
        adapt_and_score(algorithm, many, memory=100)
    with pytest.raises(InputError, match="one user alone takes"):
        score_all(algorithm, ItemIndex(algorithm.net), many.task, many.support, memory=100)
    with pytest.raises(InputError, match="memory 0: give a number >= 1"):
        adapt_and_score(algorithm, many, memory=0)


def test_no_graph_is_left_behind_and_inference_mode_will_do(ratings: Ratings, many: TaskBatch) -> None:
    algorithm = MAML(melu_net(ratings), ["decision"], 0.1, 1)
    index = ItemIndex(algorithm.net)
    scores = score_all(algorithm, index, many.task, many.support)
    assert not scores.requires_grad
    one = score_all(algorithm, index, many.task[:1], Rows(*(column[:1] for column in many.support)))
    for found in (scores, one, adapt_and_score(algorithm, many).scores):
        assert not found.is_inference()  # so that it may be written to
    assert all(parameter.grad is None for parameter in algorithm.parameters())
    with torch.inference_mode():
        assert torch.equal(score_all(algorithm, index, many.task, many.support), scores)


@pytest.mark.parametrize("support", [2, 40])
def test_a_layer_takes_the_form_with_fewer_products(support: int) -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    before = Layer(random(4, 6), random(4))
    moved = before.moved(random(3, support, 6), random(3, support, 4), 2)
    settled = moved.settled(rows=50, fixed=True)
    # 50 rows: 50 * S * (6 + 4) products by Gram matrices, (50 + S) * 24 by weights: equal near S = 2.5.
    assert (settled.input is None) == (support == 40)
    rows = random(3, 50, 6)
    weight = before.weight + torch.einsum("tso,tsi->toi", moved.slope, moved.input)
    bias = before.bias + 2.0 * moved.slope.sum(dim=1)
    expected = torch.einsum("tri,toi->tro", rows, weight) + bias[:, None]
    for layer in (moved, settled, moved.formed()):
        torch.testing.assert_close(layer(rows), expected, rtol=0, atol=1e-12)
    shared = settled(rows[0], rows[0] @ before.weight.T)
    expected = torch.einsum("ri,toi->tro", rows[0], weight) + bias[:, None]
    torch.testing.assert_close(shared, expected, rtol=0, atol=1e-12)
    mixed = moved.settled(rows=50, fixed=True, gram=True)
    assert isinstance(mixed, Mix) == (support == 2)
    if isinstance(mixed, Mix):
        products = functional.pad(rows[0] @ moved.input.mT, (0, 1), value=1.0)
        torch.testing.assert_close(mixed(products, rows[0] @ before.weight.T), expected, rtol=0, atol=1e-12)


def test_the_readmes_example(ratings: Ratings, many: TaskBatch, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = Path("README.md").read_text().split("```python\n")[1:]
    example = next(block.split("```")[0] for block in blocks if "metarec.recommend" in block)
    algorithm = MAML(melu_net(ratings), ["decision"], 0.1, 1).eval()
    names = {"algorithm": algorithm, "batch": many, "data": SimpleNamespace(ratings=ratings)}
    exec(example, names)
    best = names["best"]
    whole = oracle(algorithm, many, torch.arange(31))
    assert best.shape == (1, 10)
    assert best.min() >= 1
    torch.testing.assert_close(whole[0, best[0, 0]], whole[0, 1:].max())
    assert capsys.readouterr().out.startswith("39 users at a time, ")


@pytest.mark.parametrize(("name", "adapts", "reason"), CASES)
def test_without_a_support_set_scores_are_zero_shot(
    ratings: Ratings, many: TaskBatch, name: str, adapts: list[str], reason: str
) -> None:
    algorithm = MAML(NETS[name](ratings), adapts, 0.1, 2)
    index = ItemIndex(algorithm.net, torch.arange(1, algorithm.net.schema["items"]))
    items = index.catalogue.expand(len(many.task), -1)
    scores = score_all(algorithm, index, many.task, None, memory=2**30)
    with torch.no_grad():
        torch.testing.assert_close(scores, algorithm.predict({}, many.task, items), rtol=1e-5, atol=1e-5)
        alone = score_all(algorithm, index, many.task[:1], None)
        torch.testing.assert_close(alone, scores[:1], rtol=1e-5, atol=1e-5)
        adapted = score_all(algorithm, index, many.task, many.support)
    assert not torch.allclose(adapted, scores, atol=1e-3)


def test_scores_keep_the_precision_of_statistics(ratings: Ratings, many: TaskBatch) -> None:
    algorithm = Popularity(NoNet(ratings.schema))
    algorithm.prepare(ratings, pack(ratings, np.arange(len(ratings))))
    scores = score_all(algorithm, ItemIndex(NoNet(ratings.schema)), many.task, many.support)
    assert scores.dtype == torch.float64
    assert torch.equal(scores, algorithm.score.expand_as(scores))
