"""Nightdesk: private documents in, a SQLite file of facts out, on one machine that talks to nobody.

The rooms and their order are in README.md; the story of a run is `pipeline.run`.
"""
