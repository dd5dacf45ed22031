"""A listener joins, holds a slot, leaves, and polls again."""
