"""The simulation: both machines under one virtual clock, with weather; one integer replays it."""
