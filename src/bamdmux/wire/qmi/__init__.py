"""QMI messages as data: what the TLVs of each message mean, one TOML file for each service.

`messages` finds the definition of a message; a definition turns values into TLVs and back. `values` names the
numbers. `grammar` reads the files, and says how they are written. `types` does the bytes.
"""
