"""The life of accounts by the admin endpoint of three nodes, while listeners of another account must notice nothing."""
