"""The cold routes: an ordinary ASGI application behind the same front."""
