"""The fairness campaign: an account that floods the server must not hold up another."""
