"""Rows of all tasks, one after the other: back and forth between them and padded columns."""

import pytest
import torch

from metarec.algorithms.engines.layout import Layout, layouts
from metarec.data.tasks import Bucket, Rows, TaskBatch


def column(*shape: int) -> torch.Tensor:
    return torch.arange(1, 1 + shape[0] * shape[1]).view(shape)


def batch(*buckets: Bucket) -> TaskBatch:
    rows = [Rows(column(3, width), torch.ones(3, width), torch.ones(3, width, dtype=torch.bool)) for width in (4, 2)]
    return TaskBatch(torch.arange(3), *rows, buckets)


def test_rows_stand_bucket_by_bucket_without_the_padding_that_a_bucket_can_do_without() -> None:
    support, query = layouts(batch(Bucket(0, 2, 1, 2), Bucket(2, 3, 4, 1)))
    assert support.shapes == ((2, 1), (1, 4))
    assert support.flat(column(3, 4)).tolist() == [1, 5, 9, 10, 11, 12]
    assert support.task.tolist() == [0, 1, 2, 2, 2, 2]
    assert query.shapes == ((2, 2), (1, 1))
    assert query.flat(column(3, 2)).tolist() == [1, 2, 3, 4, 5]


def test_padded_puts_values_back_and_zero_where_no_bucket_has_a_row() -> None:
    support, _ = layouts(batch(Bucket(0, 2, 1, 2), Bucket(2, 3, 4, 2)))
    values = torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], requires_grad=True)
    padded = support.padded(values)
    assert padded.tolist() == [[1, 0, 0, 0], [2, 0, 0, 0], [3, 4, 5, 6]]
    padded.mul(column(3, 4)).sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert values.grad.tolist() == [1, 5, 9, 10, 11, 12]


@pytest.mark.parametrize("buckets", [(), (Bucket(0, 1, 4, 2), Bucket(1, 3, 4, 2))])
def test_full_rows_stay_where_they_are(buckets: tuple[Bucket, ...]) -> None:
    support, query = layouts(batch(*buckets))
    for layout, width in ((support, 4), (query, 2)):
        assert layout.place is None
        assert layout.flat(column(3, width)).tolist() == column(3, width).flatten().tolist()
        assert torch.equal(layout.padded(layout.flat(column(3, width))), column(3, width))
        assert layout.task.tolist() == sorted([0, 1, 2] * width)


def test_a_layout_of_columns_that_are_not_contiguous() -> None:
    wide = column(3, 8)[:, ::2]
    layout = Layout.of(wide, ((3, 2),))
    assert layout.flat(wide).tolist() == [1, 3, 9, 11, 17, 19]
