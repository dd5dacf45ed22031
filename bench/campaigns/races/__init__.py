"""The races campaign: pages that load while four writers change what they show must end with what the database has."""
