import copy
import itertools

import pytest
import torch
from torch import nn
from torch.nn import functional

from metarec.errors import InputError
from metarec.optim import RowAdamW, clip_norm, decay_groups, require_rows


def trained(make, sparse: bool, steps: int = 5, last: int | None = None) -> list[torch.Tensor]:
    """A table and a weight after some steps, each of which uses rows of the table."""
    torch.manual_seed(0)
    table, weight = nn.Parameter(torch.randn(10, 3)), nn.Parameter(torch.randn(3))
    optimizer = make([table, weight])
    for step in range(steps):
        rows = torch.tensor([0, 3, 3, step if last is None else last])
        loss = (functional.embedding(rows, table, sparse=sparse) @ weight - 1).square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [table.detach(), weight.detach()]


def test_dense_gradients_are_adamw() -> None:
    own = trained(lambda p: RowAdamW(p, lr=0.1, weight_decay=0.2), sparse=False)
    torch.testing.assert_close(own, trained(lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.2), sparse=False))


def test_sparse_gradients_are_torchs_sparse_adam() -> None:
    class Both:
        def __init__(self, parameters: list[nn.Parameter]) -> None:
            self.parts = torch.optim.SparseAdam(parameters[:1], lr=0.1), torch.optim.Adam(parameters[1:], lr=0.1)

        def zero_grad(self) -> None:
            for part in self.parts:
                part.zero_grad()

        def step(self) -> None:
            for part in self.parts:
                part.step()

    torch.testing.assert_close(
        trained(lambda p: RowAdamW(p, lr=0.1, weight_decay=0), sparse=True), trained(Both, sparse=True)
    )


def test_rows_in_use_in_every_step_are_adamw() -> None:
    for steps, decay in itertools.product((1, 4), (0.0, 0.3)):
        sparse = trained(lambda p, d=decay: RowAdamW(p, lr=0.1, weight_decay=d), True, steps, 0)
        dense = trained(lambda p, d=decay: torch.optim.AdamW(p, lr=0.1, weight_decay=d), False, steps, 0)
        torch.testing.assert_close(sparse[0][[0, 3]], dense[0][[0, 3]])
        torch.testing.assert_close(sparse[1], dense[1])


def test_rows_not_in_use_stand_still() -> None:
    torch.manual_seed(0)
    before = torch.randn(10, 3)
    after = trained(lambda p: RowAdamW(p, lr=0.1, weight_decay=0.5), sparse=True)[0]
    assert torch.equal(after[5:], before[5:])


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("most", [0.5, 1e6])
def test_clipping_equals_torchs(sparse: bool, most: float) -> None:
    gradients = []
    for clip in (clip_norm, nn.utils.clip_grad_norm_):
        torch.manual_seed(0)
        table, weight = nn.Parameter(torch.randn(10, 3)), nn.Parameter(torch.randn(3))
        looked_up = functional.embedding(torch.tensor([1, 4, 4]), table, sparse=sparse and clip is clip_norm)
        (looked_up @ weight).square().sum().backward()
        clip([table, weight], most)
        gradients.append([table.grad.to_dense(), weight.grad])
    torch.testing.assert_close(*gradients)


def test_a_loaded_state_goes_on_as_if_it_had_not_been_saved() -> None:
    def step(parameter: nn.Parameter, optimizer: RowAdamW) -> None:
        optimizer.zero_grad()
        parameter.square().sum().backward()
        optimizer.step()

    first = nn.Parameter(torch.tensor([1.0, -2.0]))
    before = RowAdamW([first], lr=0.1)
    step(first, before)
    second = nn.Parameter(first.detach().clone())
    after = RowAdamW([second], lr=0.1)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    for parameter, optimizer in ((first, before), (second, after)):
        step(parameter, optimizer)
    assert torch.equal(first, second)
    assert after.state_dict()["state"][0]["step"] == 2


def test_fused_optimizers_of_torch_are_refused() -> None:
    class Table(nn.Module):
        sparse = True

    with pytest.raises(
        InputError, match=r"sparse: true with the optimizer SGD\(fused=True\); use metarec.optim.RowAdamW"
    ):
        require_rows(Table(), torch.optim.SGD([nn.Parameter(torch.zeros(1))], fused=True), 1)


def test_several_processes_are_refused() -> None:
    class Table(nn.Module):
        sparse = True

    with pytest.raises(InputError, match="sparse: true in 2 processes; use one process"):
        require_rows(Table(), RowAdamW([nn.Parameter(torch.zeros(1))]), 2)


def test_impossible_options_are_refused() -> None:
    for option in ({"lr": 0.0}, {"eps": 0.0}, {"weight_decay": -1.0}, {"betas": (0.9, 1.0)}):
        with pytest.raises(InputError, match=r"RowAdamW: .*give lr and eps > 0"):
            RowAdamW([nn.Parameter(torch.zeros(1))], **option)


class Learned(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net, self.rates = nn.Linear(3, 1), nn.ParameterList([nn.Parameter(torch.ones(2))])


def test_decay_leaves_learned_settings_alone() -> None:
    module = Learned()
    before = module.net.weight.detach().clone()
    optimizer = torch.optim.AdamW(decay_groups(module, ["rates.*"]), lr=0.1, weight_decay=0.5)
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.equal(module.rates[0], torch.ones(2))
    torch.testing.assert_close(module.net.weight, before * 0.95)


def test_without_learned_settings_there_are_no_groups() -> None:
    module = Learned()
    assert [*map(id, decay_groups(module, ["penalty"]))] == [*map(id, module.parameters())]
