"""The guard of the explorer: requests of its own pages pass, where they hold its token."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

HOSTS = ("127.0.0.1", "localhost")
"""Names of this machine that a browser may ask for: others lead here by a trick with names."""

_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'self' http://127.0.0.1:* http://localhost:* vscode-webview:",
    ]
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
}


class Guard:
    """Lets requests through that name this host, come from its own page, and hold the token.

    The token is the first part of the path. Browsers say from which page a socket is opened
    (Origin), so a page of another site opens none. All other requests are answered with 403.
    """

    def __init__(self, app: App, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"{host}:{port}" for host in HOSTS}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on without its token, or refuse it."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        reason = self._refused(scope)
        if reason is not None:
            return await _refuse(scope, receive, send, reason)
        path = scope["path"].removeprefix(f"/{self._token}")
        return await self._app({**scope, "path": path}, receive, _with_headers(send))

    def _refused(self, scope: Scope) -> str | None:
        """The reason to refuse a request, or None."""
        headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
        host, origin = headers.get(b"host", ""), headers.get(b"origin")
        if host not in self._hosts:
            return "this server answers to its own address alone"
        own = f"http://{host}"
        if origin != own and not (origin is None and scope["type"] == "http"):
            return "this server answers its own page alone"
        token = scope["path"].split("/")[1] if "/" in scope["path"] else ""
        if not secrets.compare_digest(token.encode(), self._token.encode()):
            return "the address lacks its token: open the one that spikewright printed"
        return None


def _with_headers(send: Send) -> Send:
    """A `send` that adds the headers which keep a page to itself."""
    more = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await send(message)

    return sending


async def _refuse(scope: Scope, receive: Receive, send: Send, reason: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": reason})
        return
    text = [(b"content-type", b"text/plain; charset=utf-8")]
    await send({"type": "http.response.start", "status": 403, "headers": text})
    await send({"type": "http.response.body", "body": f"{reason}\n".encode()})
