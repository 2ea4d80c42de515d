"""Hostile submissions: what each tries, and the proof that the grader gives it nothing."""
