from dataclasses import replace

from metarec.tables.markdown import as_markdown
from tests.tables.by_hand import TABLE


def test_by_hand() -> None:
    assert as_markdown(TABLE).splitlines() == [
        "**Not as the experiment file says now: a_b.**",
        "",
        "50 % of <users> & _items_.",
        "",
        "| method | mae | printed mae | p (mae) | fit s |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| chance | 1.250 [1.200, 1.300] |  | <0.001 | 0 |",
        "| a\\|b_c | **0.500** [0.000, 0.750] | 0.74 | - | 1234 |",
        "",
        "Runs of commit abc; cost: 5 % & more.",
    ]


def test_without_warnings_the_caption_comes_first() -> None:
    assert as_markdown(replace(TABLE, warnings=[])).startswith("50 % of")
