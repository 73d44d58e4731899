"""The innermost loop of mining, in two ways: with Python's `hashlib`, and as a program made for this processor."""
