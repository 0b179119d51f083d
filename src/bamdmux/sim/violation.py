"""A rule that a simulated link has broken."""


class Violation(Exception):
    """What went wrong. Where and when, and how to see it again, is said by whoever runs the world."""
