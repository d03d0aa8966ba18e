"""The table of an experiment: one object, made from the values of its runs, and a function a format that writes it.

`made.py` makes it, `words.py` its caption and foot; `markdown.py`, `latex.py`, `html.py` and `plain.py` (CSV, JSON)
write it; `published.py` reads printed figures, `expected.py` holds results against expected ranges. No torch.
"""
