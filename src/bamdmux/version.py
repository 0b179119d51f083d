"""The version, in a room that everybody may import from."""

VERSION = "0.1.0"
