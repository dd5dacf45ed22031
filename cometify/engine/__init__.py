"""What keeps pushes and numbers them. An engine never heard of listeners."""
