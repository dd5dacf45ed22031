"""Two forms of Cometify by turns: as it is by default, and watched by its operator or of another build."""
