"""The routes, and what every one of them has in common."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from aivax_cli.core.errors import AivaxError, unknown_name
from aivax_cli.server.asking import CLIENT_GONE
from aivax_cli.server.backend import Backend, GatewayInfo, backend_of
from aivax_cli.server.chat import ChatCompletions
from aivax_cli.server.faults import RequestError, error_body, headers_of, log_failure, status_of
from aivax_cli.server.metrics import CONTENT_TYPE, Metrics
from aivax_cli.server.openapi import document
from aivax_cli.server.openapi_adapters import adapter_paths
from aivax_cli.server.streaming import ClientGoneError

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

COMPLETIONS = ("/v1/chat/completions", "/api/v1/chat/completions", "/api/v1/chat-completions")


def chat_routes() -> list[BaseRoute]:
    """What nearly every request is for. Routes are tried one after the other, so these come first."""
    from starlette.routing import Route

    return [Route(path, ChatCompletions(), methods=["POST"]) for path in COMPLETIONS]


def routes() -> list[BaseRoute]:
    """The other routes of the server."""
    from starlette.routing import Route

    return [
        Route("/v1/models", list_models),
        Route("/api/v1/models", list_models),
        Route("/v1/models/{name:path}", one_model),
        Route("/api/v1/models/{name:path}", one_model),
        Route("/healthz", healthy),
        Route("/readyz", ready),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
    ]


def application(
    backend: Backend,
    *,
    on_ready: Callable[[], None] = lambda: None,
    more_routes: Sequence[BaseRoute] = (),
    middleware: Sequence[Middleware] = (),
) -> Starlette:
    """The server over a backend.

    `on_ready` is told when everything is loaded. The backend stands in `app.state.backend`.
    """
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import ClientDisconnect

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        loading = asyncio.create_task(_load(app, backend, on_ready))
        try:
            yield
        finally:
            loading.cancel()

    handlers: dict[Any, Any] = {
        AivaxError: failed,
        ClientGoneError: gone,
        ClientDisconnect: gone,
        HTTPException: refused,
        Exception: failed,
    }
    app = Starlette(
        routes=[*chat_routes(), *more_routes, *routes()],
        lifespan=lifespan,
        exception_handlers=handlers,
        middleware=middleware,
    )
    app.state.backend = backend
    app.state.metrics = Metrics()
    app.state.siblings = None
    app.state.ready = False
    return app


async def _load(app: Starlette, backend: Backend, on_ready: Callable[[], None]) -> None:
    await backend.load()
    app.state.ready = True
    on_ready()


async def failed(request: Request, error: Exception) -> Response:
    """An error in OpenAI's shape."""
    from starlette.responses import JSONResponse

    del request
    log_failure(error)
    return JSONResponse(error_body(error), status_of(error), headers=headers_of(error))


async def refused(request: Request, error: HTTPException) -> Response:
    """What the web server itself refuses: 404 for a path, 405 for a method."""
    from starlette.responses import JSONResponse

    said = {404: f"no such path: {request.url.path}", 405: f"{request.method} is not possible here"}
    wrong = RequestError(said.get(error.status_code, str(error.detail)), error.status_code)
    return JSONResponse(error_body(wrong), error.status_code, headers=dict(error.headers or {}))


async def gone(request: Request, error: Exception) -> Response:
    """Nobody reads this."""
    from starlette.responses import Response

    del request, error
    return Response(status_code=CLIENT_GONE)


async def healthy(request: Request) -> Response:
    """The server is there."""
    from starlette.responses import PlainTextResponse

    del request
    return PlainTextResponse("ok\n")


async def ready(request: Request) -> Response:
    """Whether everything is loaded; 503 until then."""
    from starlette.responses import PlainTextResponse

    if request.app.state.ready:
        return PlainTextResponse("ready\n")
    return PlainTextResponse("loading\n", 503)


async def metrics(request: Request) -> Response:
    """See `metrics.Metrics` and `sharing.Siblings`."""
    from starlette.responses import Response

    siblings = request.app.state.siblings
    others = () if siblings is None else await siblings.samples()
    return Response(request.app.state.metrics.text(others), media_type=CONTENT_TYPE)


async def openapi(request: Request) -> Response:
    """The OpenAPI document."""
    from starlette.responses import JSONResponse

    del request
    return JSONResponse(document(adapter_paths()))


async def list_models(request: Request) -> Response:
    """The gateways, in the shape of OpenAI's models."""
    from starlette.responses import JSONResponse

    backend = backend_of(request)
    return JSONResponse({"object": "list", "data": [model_object(info) for info in backend.gateways()]})


async def one_model(request: Request) -> Response:
    """A gateway by name, slug or id."""
    from starlette.responses import JSONResponse

    backend = backend_of(request)
    name = request.path_params["name"]
    for info in backend.gateways():
        if name in (info.name, info.slug, info.id):
            return JSONResponse(model_object(info))
    raise unknown_name("gateway", name, [info.name for info in backend.gateways()], otherwise="")


def model_object(info: GatewayInfo) -> dict[str, object]:
    """A gateway as a model of OpenAI's."""
    return {
        "id": info.name,
        "object": "model",
        "created": info.created,
        "owned_by": "aivax",
        "slug": info.slug,
        "gateway_id": info.id,
        "description": info.description,
    }
