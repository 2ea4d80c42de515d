"""A course in nbgrader's layout: restoring, running and saving submissions, one or all of them."""
