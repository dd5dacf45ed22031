"""The races campaign: pages load while four writers change rows. At the end each page must show the rows of the database."""
