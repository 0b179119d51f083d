"""Bounded model checking: every order of up to so many events, over the real machines."""
