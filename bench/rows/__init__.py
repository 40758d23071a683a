"""One module a part: each measures one thing, and says it in rows."""
