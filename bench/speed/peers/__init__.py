"""Small servers around other people's libraries, each as its documentation shows it."""
