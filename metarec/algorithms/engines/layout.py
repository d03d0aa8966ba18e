"""Where the rows of all tasks of a batch stand when they lie one after the other, without most of their padding."""

from typing import NamedTuple

import torch
from torch import Tensor

from metarec.algorithms.engines.flat import Shapes
from metarec.data.tasks import TaskBatch


class Layout(NamedTuple):
    """The order of support rows, or of query rows: bucket by bucket, and task by task.

    Attributes:
        shapes: tasks and rows a task, of each bucket.
        padded_shape: T and R of the batch.
        place: of each row, in the batch's columns (T * R,), shape (rows,); null where all stand in their own order.
        task: position of each row's task in the batch, (rows,).
    """

    shapes: Shapes
    padded_shape: tuple[int, int]
    place: Tensor | None
    task: Tensor

    @classmethod
    def of(cls, column: Tensor, shapes: Shapes) -> "Layout":
        """The layout of columns such as this one (T, R), whose buckets have these shapes."""
        tasks, width = column.shape
        places = torch.arange(tasks * width, device=column.device)
        if all(rows == width for _, rows in shapes):
            return cls(shapes, (tasks, width), None, places // width)
        buckets = zip(
            torch.split_with_sizes(places.view(tasks, width), [count for count, _ in shapes]), shapes, strict=True
        )
        place = torch.cat([bucket[:, :rows].reshape(-1) for bucket, (_, rows) in buckets])
        return cls(shapes, (tasks, width), place, place // width)

    def flat(self, column: Tensor) -> Tensor:
        """A column (T, R) of the batch as (rows,)."""
        return column.reshape(-1) if self.place is None else column.take(self.place)

    def padded(self, values: Tensor) -> Tensor:
        """One value a row, (rows,), as (T, R); 0 in padding that no bucket has."""
        if self.place is None:
            return values.view(self.padded_shape)
        tasks, width = self.padded_shape
        return values.new_zeros(tasks * width).index_copy(0, self.place, values).view(tasks, width)


def layouts(batch: TaskBatch) -> tuple[Layout, Layout]:
    """Of the support rows and of the query rows, in the batch's buckets."""
    support, query = batch.support.item, batch.query.item
    buckets = batch.buckets or [(0, len(batch.task), support.shape[1], query.shape[1])]
    return (
        Layout.of(support, tuple((stop - start, rows) for start, stop, rows, _ in buckets)),
        Layout.of(query, tuple((stop - start, rows) for start, stop, _, rows in buckets)),
    )
