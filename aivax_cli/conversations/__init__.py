"""Conversations, kept: a tree of messages in one SQLite file of the workspace's `.aivax/`.

records     what is kept of a turn, and its JSON form
file        the database: schema, opening, errors
store       a chat writes its turns as they go, and takes them up again
log         list, search, export, delete
switch      whether anything is kept at all
redaction   what looks private, masked (pure)
"""
