"""`metarec bench`: how fast everything is, as ratios to learn2learn's loop over tasks in the same run.

`command.py` is the entry, `records.py` what is measured, `timing.py` how: contenders in turn, in shuffled order, a
ratio each round. One module a part: `training.py`, `end_to_end.py`, `inference.py`, `growth.py`, `resources.py`.
Contenders: `contenders.py` (ours, and the check that all compute the same), `peers.py`, `peers_at_once.py`,
`bound.py`. Output: `report.py`, `figures.py`.
"""
