from pathlib import Path

import pytest

from metarec.errors import InputError
from metarec.files import replace_block


def test_replace_block(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- begin t -->\nold\n<!-- end t -->\nbelow\n")
    replace_block(page, "t", "new")
    assert page.read_text() == "above\n<!-- begin t -->\nnew\n<!-- end t -->\nbelow\n"
    with pytest.raises(InputError, match="no block"):
        replace_block(page, "other", "new")
