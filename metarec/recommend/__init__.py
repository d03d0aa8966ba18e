"""Recommending with a trained algorithm: adapt new users, and score many items for each, within bounded memory."""

from metarec.recommend.items import ItemIndex
from metarec.recommend.memory import Report
from metarec.recommend.scoring import Scored, adapt_and_score, score_all

__all__ = ["ItemIndex", "Report", "Scored", "adapt_and_score", "score_all"]
