"""What carries. One file for each transport; `http` and `connection` are their shared floors."""
