"""A large synthetic file, in bounded memory; see `tests.data.own.scale` for one of 25 million rows."""

from pathlib import Path

import pytest

from tests.data.own.scale import measured, write


@pytest.mark.slow
def test_memory_grows_by_less_than_100_bytes_a_row(tmp_path: Path) -> None:
    peaks = []
    for rows in (10, 2_000_000):
        write(tmp_path / "synthetic.csv", rows)
        found = [measured(tmp_path / "synthetic.csv", tmp_path / "cache") for _ in range(2)]
        assert found[0]["digest"] == found[1]["digest"]
        peaks.append(max(int(str(one["peak_mb"])) for one in found))
    assert (peaks[1] - peaks[0]) * 1e6 / 2e6 < 100
