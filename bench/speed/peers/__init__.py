"""Small servers around libraries of others, each as its documentation shows it."""
