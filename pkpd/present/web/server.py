"""The HTTP side of `pkpd explore`: three kinds of answers, and what a request may not do.

A handful of paths is known: the page's own files, read once at start, ``/api/start``, and ``/api/NAME`` for
each of the answers in ``views``. Computations run on threads (the compiled solver holds no interpreter lock),
a few at a time and in turn, so that pages and short requests are answered beside a long one. Nothing is kept
of a request but the curves it asked for; there are no cookies, and no log.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import math
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from pkpd.core.errors import InputError, PkpdError
from pkpd.present.web import person, saving
from pkpd.present.web.evaluation import DEFAULT, Explorer, FieldError, Limits
from pkpd.present.web.saved import SavedState
from pkpd.present.web.saving import Download
from pkpd.present.web.turns import Turns
from pkpd.present.web.views import ANSWERS, Answer

KINDS = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
}
"""What is served of what lies in ``static``."""


def _files(folder: Traversable, path: str = "/") -> dict[str, tuple[Traversable, str]]:
    found: dict[str, tuple[Traversable, str]] = {}
    for one in sorted(folder.iterdir(), key=lambda one: one.name):
        if one.is_dir():
            found |= _files(one, f"{path}{one.name}/")
        elif kind := KINDS.get(PurePosixPath(one.name).suffix):
            found["/" if one.name == "index.html" else path + one.name] = (one, kind)
    return found


FILES = _files(resources.files("pkpd.present.web") / "static")
"""All that is served of this machine's files, by path."""

HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; "
    "base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
}
BODY_PATIENCE_S = 10.0  # a request that trickles in would otherwise hold its place
HEAD_PATIENCE_S = 10.0  # and so would a connection that asks for nothing
MOST_CONNECTIONS = 400  # browsers open up to six each; every one that waits holds one request of a few kB
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

log = logging.getLogger("pkpd.present.web")


class _Refused(Exception):
    """A computation that is not finished: the time is over, the page has left, or the server ends."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def application(explorer: Explorer, names: Collection[str] = (), addresses: bool = False) -> Starlette:
    """The ASGI application. Only requests to this machine's own names are answered, to these others, and, if
    it is reached by ``addresses`` from elsewhere, to any of these: against a name of somebody else that is
    made to point here (DNS rebinding)."""
    files = {path: (file.read_bytes(), kind) for path, (file, kind) in FILES.items()}
    computing = _Computing(explorer)

    def file(path: str) -> Callable[[Request], Response]:
        content, kind = files[path]
        return lambda request: Response(content, media_type=kind)

    async def start(request: Request) -> Response:
        return _json(explorer.facts() | {"saving": saving.facts(explorer), "person": person.facts(explorer)})

    def computed(answer: Answer) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            return await computing.answer(request, answer)

        return endpoint

    async def stated(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        sentence = "there is no such page" if error.status_code == 404 else str(error.detail)
        return _json({"error": sentence}, error.status_code, error.headers)

    app = Starlette(
        routes=[
            *(Route(path, _asynchronous(file(path)), methods=["GET"]) for path in files),
            Route("/api/start", start, methods=["GET"]),
            *(Route(f"/api/{name}", computed(answer), methods=["POST"]) for name, answer in ANSWERS.items()),
        ],
        exception_handlers={HTTPException: stated},
    )
    app.router.redirect_slashes = False
    app.state.computing = computing
    app.add_middleware(_Guard, names=names, addresses=addresses)
    return app


def _asynchronous(answer: Callable[[Request], Response]) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        return answer(request)

    return endpoint


def _json(value: object, status: int = 200, headers: Any = None) -> Response:
    text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    # half a surrogate pair, which JSON may hold but UTF-8 may not, goes back as the escape it came as
    content = text.encode("utf-8", "backslashreplace")
    return Response(content, status, headers, media_type="application/json")


def _file(found: Download) -> Response:
    """A file, which a browser is to keep and not to show."""
    named = {"content-disposition": f'attachment; filename="{found.name}"'}
    return Response(found.content, headers=named, media_type=found.kind)


class _Impatient(H11Protocol):
    """Closes a connection on which no whole head of a request arrives in time: uvicorn waits for ever, and a
    few dozen would take all places."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait()

    def on_response_complete(self) -> None:
        self._wait()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._patience is not None:
            self._patience.cancel()
        super().connection_lost(exc)

    def _wait(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        self._patience = self.loop.call_later(HEAD_PATIENCE_S, self._give_up)

    def _give_up(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


class _Guard:
    """Before every request: is it addressed to this machine, does it come from this page. After it: headers,
    and no traceback."""

    def __init__(self, app: ASGIApp, names: Collection[str], addresses: bool) -> None:
        self.app, self.addresses = app, addresses
        self.names = {*LOOPBACK, *(name.lower() for name in names)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        started = False

        async def with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = [(name, value) for name, value in message["headers"] if name != b"cache-control"]
                message["headers"] = given + [(k.encode(), v.encode()) for k, v in HEADERS.items()]
            await send(message)

        refusal = self._refusal({name: value.decode("latin-1") for name, value in scope["headers"]})
        if refusal:
            await _json({"error": refusal}, 403)(scope, receive, with_headers)
            return
        try:
            await self.app(scope, receive, with_headers)
        except Exception:
            log.exception("an error inside pkpd explore; please report it")
            if started:
                raise
            sentence = "something went wrong inside pkpd; the terminal that runs pkpd explore says what"
            await _json({"error": sentence}, 500)(scope, receive, with_headers)

    def _refusal(self, headers: dict[bytes, str]) -> str:
        host = headers.get(b"host", "")
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
        if name.lower() not in self.names and not (self.addresses and _is_address(name)):
            if not self.addresses:
                return "this page is served to this machine only: open it as http://127.0.0.1 with its port"
            return (
                "this page is not known by that name: open it by the address of its machine, or start "
                "pkpd explore with --name and the name"
            )
        origin = headers.get(b"origin")
        if origin is not None and origin.partition("://")[2] != host:
            return "this address answers its own page only"
        return ""


class _Computing:
    """Threads for computations, how many may wait for one, and what ends one early."""

    def __init__(self, explorer: Explorer) -> None:
        self.explorer, self.limits = explorer, explorer.limits
        self.pool = ThreadPoolExecutor(2 * self.limits.at_once, "pkpd-explore")
        self.turns = Turns(self.limits.at_once)
        self.closed = threading.Event()

    async def answer(self, request: Request, answer: Answer) -> Response:
        try:
            values = await self._values(request)
            told = await self._run(request, answer, values)
            return _file(told) if isinstance(told, Download) else _json(told)
        except FieldError as error:
            return _json({"error": str(error), "field": error.field, "index": error.index}, 422)
        except PkpdError as error:
            return _json({"error": str(error)}, 422)
        except _Refused as refused:
            return _json({"error": str(refused)}, refused.status)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody is there to read it

    async def _values(self, request: Request) -> object:
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise _Refused(415, "a request is JSON, with content type application/json")
        most = self.limits.body_bytes
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_PATIENCE_S):
                async for part in request.stream():
                    body += part
                    if len(body) > most:
                        raise _Refused(413, f"a request has at most {most:,} bytes")
        except TimeoutError:
            raise _Refused(408, "the request did not arrive in time") from None
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            raise _Refused(400, "the request cannot be read as JSON") from None

    async def _run(self, request: Request, answer: Answer, values: object) -> dict[str, Any] | Download:
        first = isinstance(values, dict) and values.get("preview") is True
        left, pauses = threading.Event(), self.turns.pauses(first)
        begun = math.inf

        def stop() -> None:
            if left.is_set() or self.closed.is_set():
                raise _Refused(503, "the computation was given up")
            pauses()
            if time.monotonic() - begun - pauses.taken_s > self.limits.seconds:
                raise _Refused(
                    503,
                    f"this takes longer than the {self.limits.seconds:g} s that a request may take: "
                    "choose fewer subjects, fewer doses or a shorter horizon (pkpd compare has no "
                    "such limit)",
                )

        def work() -> dict[str, Any] | Download:
            nonlocal begun
            begun = time.monotonic()
            stop()
            return answer(self.explorer, values, stop)

        async def in_turn() -> dict[str, Any] | Download:
            try:
                async with self.turns.place(first, self.limits.patience_s):
                    return await asyncio.get_running_loop().run_in_executor(self.pool, work)
            except TimeoutError:
                raise _Refused(
                    503,
                    "the machine that computes this page was busy with other pages for "
                    f"{self.limits.patience_s:g} s: try again in a moment",
                ) from None

        gone, running = asyncio.ensure_future(_left(request)), asyncio.ensure_future(in_turn())
        try:
            either: set[asyncio.Future[Any]] = {running, gone}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not running.done():
                raise ClientDisconnect
            return running.result()
        finally:
            left.set()
            gone.cancel()
            if begun == math.inf:
                running.cancel()  # it only waits for its turn
            running.add_done_callback(_unheard)

    def close(self) -> None:
        """End what is running at its next chunk."""
        self.closed.set()
        self.pool.shutdown(wait=True, cancel_futures=True)


def _unheard(ended: asyncio.Future[Any]) -> None:
    """What it raises was told, or nobody waits for it any more."""
    if not ended.cancelled():
        ended.exception()


async def _left(request: Request) -> None:
    """Wait until nobody waits for the answer of a request that was read."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _is_address(name: str) -> bool:
    """Whether it is a number that no DNS server has a say in."""
    try:
        ipaddress.ip_address(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
    except ValueError:
        return False
    return True


class Site:
    """The page at an address of this machine: ``Site(...)`` takes the address and prepares, ``run`` serves
    until Ctrl-C.

    Attributes: ``url``; ``warning``, a sentence if others than this machine can reach it, else "".
    """

    def __init__(
        self,
        fit: str | None = None,
        *,
        subjects: int = 200,
        host: str = "127.0.0.1",
        port: int = 0,
        names: Collection[str] = (),
        limits: Limits = DEFAULT,
        endpoints: str | os.PathLike[str] | None = None,
        posterior: str | os.PathLike[str] | None = None,
        state: SavedState | None = None,
    ) -> None:
        """``fit``, ``endpoints``, ``posterior``, ``state`` as in ``Explorer``; ``port`` 0 takes a free one.
        ``names``: by which others call this machine, or what passes requests on to it; where the page is
        reached from elsewhere, it is answered by any address and by the machine's own name besides.

        Raises ``InputError`` for a port that is taken or an address that this machine does not have.
        """
        self._socket = _bound(host, port)
        try:
            explorer = Explorer(fit, subjects, limits, endpoints, posterior, state)
            explorer.prepare()
            address, free = self._socket.getsockname()[:2]
            loopback = ipaddress.ip_address(address.partition("%")[0]).is_loopback
            own = () if loopback else (host, socket.gethostname())
            self._app = application(explorer, (*own, *names), addresses=not loopback)
        except BaseException:
            self._socket.close()
            raise
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{free}/"
        self.warning = (
            ""
            if loopback
            else (
                f"anyone who can reach {host} over the network can open this page and use this machine's "
                "processor: "
                "there is no password and no encryption"
            )
        )
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app,
                http=_Impatient,
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MOST_CONNECTIONS,
                timeout_keep_alive=10,
                timeout_graceful_shutdown=1,
            )
        )

    def run(self, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until Ctrl-C or ``stop``. ready : called once Ctrl-C is heard; what comes in from then on is
        answered."""
        try:
            with _ctrl_c_means(self.stop):  # from here on: uvicorn listens to it only once its loop runs
                ready()
                self._server.run(sockets=[self._socket])
        except KeyboardInterrupt:
            pass  # the usual way to end
        finally:
            self.close()

    def close(self) -> None:
        """Give the address back, as ``run`` does at its end."""
        self._app.state.computing.close()
        self._socket.close()

    def stop(self) -> None:
        """End ``run``, from another thread."""
        self._server.should_exit = True


@contextmanager
def _ctrl_c_means(action: Callable[[], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # others hear no signals
        yield
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: action())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _bound(host: str, port: int) -> socket.socket:
    """A listening socket, before anything is computed."""
    if not 0 <= port <= 65535:
        raise InputError(f"a port is a number between 0 (a free one) and 65535, not {port}")
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError):
        raise InputError(f'there is no address "{host[:100]}"; this machine itself is 127.0.0.1') from None
    listening = socket.socket(family, kind, protocol)
    try:
        if sys.platform != "win32":  # there it would take the port away from whoever has it
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        if isinstance(error, PermissionError):
            raise InputError(f"port {port} needs more rights; choose one above 1023") from None
        raise InputError(
            f"{host} port {port} cannot be taken ({error.strerror or error}): another program may "
            "have it; choose another "
            "with --port, or leave --port out for a free one"
        ) from None
    return listening
