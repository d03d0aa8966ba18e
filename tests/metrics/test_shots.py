"""Area under a k-shot curve and the shots needed for a gain, against values worked out by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metarec.metrics.shots import area_under_shots, shots_to_share

NAN = float("nan")
SHOTS = [0, 1, 3]
"""Equal steps of log 2 in log(1 + k)."""


def test_area_by_hand() -> None:
    assert area_under_shots(SHOTS, [1.0, 0.8, 0.6]) == pytest.approx((0.9 + 0.7) / 2)
    assert area_under_shots([0, 1], [1.0, 0.5]) == pytest.approx(0.75)
    uneven = (math.log(2) * (2 + 1) / 2 + math.log(3) * (1 + 4) / 2) / math.log(6)
    assert area_under_shots([0, 1, 5], [2.0, 1.0, 4.0]) == pytest.approx(uneven)
    from_two = (math.log(4 / 3) * 1.5 + math.log(2) * 3.0) / math.log(8 / 3)
    assert area_under_shots([2, 3, 7], [1.0, 2.0, 4.0]) == pytest.approx(from_two)


def test_area_of_many_users_at_once() -> None:
    values = np.array([[[1.0, 0.8, 0.6], [NAN, 1.0, 1.0]], [[2.0, 2.0, 2.0], [0.0, 1.0, 0.0]]])
    np.testing.assert_allclose(area_under_shots(SHOTS, values), [[0.8, NAN], [2.0, 0.5]])


@given(
    values=st.lists(st.floats(0, 5), min_size=2, max_size=6),
    seed=st.integers(0, 100),
    shift=st.floats(-3, 3),
)
def test_area_is_a_mean_height(values: list[float], seed: int, shift: float) -> None:
    shots = np.sort(np.random.default_rng(seed).choice(30, len(values), replace=False)).tolist()
    area = float(area_under_shots(shots, values))
    assert min(values) - 1e-9 <= area <= max(values) + 1e-9
    assert float(area_under_shots(shots, np.add(values, shift))) == pytest.approx(area + shift, abs=1e-9)


@pytest.mark.parametrize("sign", [1, -1])
def test_shots_needed_by_hand(sign: int) -> None:
    """Values rise where higher is better, and fall by as much where lower is."""

    def needed(gain: list[float], shots: list[int] = SHOTS, share: float = 0.95) -> float:
        return shots_to_share(shots, [0.7 + sign * g for g in gain], higher_is_better=sign > 0, share=share)

    assert needed([0.0, 0.38, 0.4]) == pytest.approx(1.0)
    assert needed([0.0, 0.4, 0.4]) == pytest.approx(2**0.95 - 1)
    assert needed([0.0, 0.0, 0.2]) == pytest.approx(2**1.95 - 1)
    assert needed([0.0, 0.1, 0.2], share=0.75) == pytest.approx(2**1.5 - 1)
    assert needed([0.0, 0.1, 0.2], share=1.0) == pytest.approx(3.0)
    assert needed([0.0, 0.3, 0.1, 0.2], [0, 1, 3, 7]) == pytest.approx(2 ** (0.19 / 0.3) - 1)
    for nothing in ([0.0, 0.0, 0.0], [0.0, 0.1, 0.0], [0.0, 0.1, -0.1], [0.0, 1e-8, 2e-8], [0.0, NAN, 0.2]):
        assert math.isnan(needed(nothing))
    assert math.isnan(needed([0.0, 0.1, 0.2], [1, 2, 3])), "there is no gain over k = 0 without k = 0"


@given(gains=st.lists(st.floats(-1, 1), min_size=1, max_size=6), share=st.floats(0.05, 1))
def test_shots_needed_lie_on_the_curve(gains: list[float], share: float) -> None:
    shots = list(range(len(gains) + 1))
    values = [0.0, *gains]
    needed = shots_to_share(shots, values, higher_is_better=True, share=share)
    if math.isnan(needed):
        assert values[-1] <= 1e-6
        return
    assert 0 < needed <= shots[-1] + 1e-9
    before = [value for k, value in zip(shots, values, strict=True) if k < needed - 1e-9]
    assert max(before) < share * values[-1] + 1e-9
    there = np.interp(np.log1p(needed), np.log1p(shots), values)
    assert there == pytest.approx(share * values[-1], abs=1e-6)


def test_wrong_shapes() -> None:
    with pytest.raises(ValueError, match="3 shots and values of shape"):
        area_under_shots(SHOTS, [1.0, 2.0])
    with pytest.raises(ValueError, match="give two or more"):
        shots_to_share([0], [1.0], higher_is_better=True)
