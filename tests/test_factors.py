"""Training that starts from factors: the ridge head then begins as alternating least squares, and resumes as it was."""

from pathlib import Path

import pytest
import torch
from lightning.pytorch import Trainer

from metarec.algorithms.closed_form.ridge import RidgeHead
from metarec.baselines.als import AlternatingLeastSquares
from metarec.data.datamodule import EpisodeDataModule
from metarec.data.ratings import Ratings
from metarec.data.splits import UserCold
from metarec.errors import InputError
from metarec.factors import StartFromFactors
from metarec.module import MetaModule
from metarec.nets.base import NoNet
from metarec.nets.fm import FM
from metarec.nets.ncf import NeuMF


def data_of(ratings: Ratings) -> EpisodeDataModule:
    return EpisodeDataModule(ratings, UserCold(min_ratings=8), train_support=(2, 5), eval_support=5, batch_size=8)


def module_of(data: EpisodeDataModule, net: type = FM, lr: float = 0.0) -> MetaModule:
    return MetaModule(
        data.schema,
        lambda schema: net(schema, ["group"], ["genre"], 3),
        lambda made: RidgeHead(made, penalty=2.0),
        lambda parameters: torch.optim.SGD(parameters, lr=lr),
    )


def fit(folder: Path, module: MetaModule, data: EpisodeDataModule, epochs: int, **options: object) -> Trainer:
    trainer = Trainer(
        default_root_dir=folder, accelerator="cpu", max_epochs=epochs, logger=False, enable_progress_bar=False,
        enable_model_summary=False, use_distributed_sampler=False, num_sanity_val_steps=0,
        callbacks=[StartFromFactors(regularisation=2.0, sweeps=3)],
    )  # fmt: skip
    trainer.fit(module, data, **options)
    return trainer


def test_the_ridge_head_starts_as_alternating_least_squares_with_fold_in(tmp_path: Path, ratings: Ratings) -> None:
    data = data_of(ratings)
    module = module_of(data)
    fit(tmp_path, module, data, 1)
    als = AlternatingLeastSquares(NoNet(data.schema), 3, 2.0, 3)
    als.prepare(data.ratings, data.train_tasks)
    for batch in data.val_dataloader():
        ways = [way.eval().adapted(batch.task, batch.support, batch.query.item) for way in (module.algorithm, als)]
        torch.testing.assert_close(*ways, rtol=1e-4, atol=1e-4)


def test_a_resumed_fit_goes_on_from_its_checkpoint(tmp_path: Path, ratings: Ratings) -> None:
    whole, first, second = (module_of(data_of(ratings), lr=0.05) for _ in range(3))
    fit(tmp_path / "whole", whole, data_of(ratings), 4)
    trainer = fit(tmp_path / "first", first, data_of(ratings), 2)
    trainer.save_checkpoint(tmp_path / "half.ckpt")
    fit(tmp_path / "second", second, data_of(ratings), 4, ckpt_path=tmp_path / "half.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(second.state_dict()[name], value), name
    assert not torch.equal(first.algorithm.net.encoder.item.table["id"], whole.algorithm.net.encoder.item.table["id"])


def test_a_fit_that_begins_with_earlier_weights_keeps_them(tmp_path: Path, ratings: Ratings) -> None:
    module = module_of(data_of(ratings))
    before = {name: value.clone() for name, value in module.algorithm.named_parameters()}
    module.begins_with = "first/checkpoints/best.ckpt"
    fit(tmp_path, module, data_of(ratings), 1)
    assert all(torch.equal(value, before[name]) for name, value in module.algorithm.named_parameters())


def test_a_net_without_item_vectors_of_its_own_is_refused(tmp_path: Path, ratings: Ratings) -> None:
    with pytest.raises(InputError, match="StartFromFactors: NeuMF has no item vectors of its own"):
        fit(tmp_path, module_of(data_of(ratings), NeuMF), data_of(ratings), 1)
