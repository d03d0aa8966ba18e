"""k-shot curves: how good a model is with k ratings of a new user, the users and what is asked of them being the same.

Nothing is imported here: who makes tables and pictures of finished runs should not pay for torch.
"""
