"""What AT commands do: one module for each subject, from the one model in equipment.py.

A module has a table of its commands, and some have one of what they say unasked:

    COMMANDS      name -> Command: for each form a handler(invocation) -> lines of its answer, or AtFailure
    UNSOLICITED   (change, settings, equipment) -> lines, for one port

A handler changes the model and reads it; what it answers is never kept anywhere else. What belongs to one
port alone is in its `Settings`: see language.py.
"""
