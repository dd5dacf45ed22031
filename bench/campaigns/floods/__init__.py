"""The flood campaign: one account does all that it can. Another one must not feel it, and the operator must see who it was."""
