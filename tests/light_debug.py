"""asyncio's debug mode with all its checks, and without what most of its time goes to: whole stacks that nobody reads.

It notes for each future the stack of the test, of pytest and of all between, some seventy frames, though a future's
maker says nothing that a test reports: 140 us a future and callback, and 20 us with this. A task still has its stack.
"""

import asyncio
import asyncio.constants

# Of a callback and of a coroutine; 10 by default.
_FRAMES = 2
_made_by_asyncio = asyncio.BaseEventLoop.create_future


def _make_future(loop: asyncio.BaseEventLoop) -> "asyncio.Future[object]":
    is_debug = loop.get_debug()
    loop._debug = False  # type: ignore[attr-defined] # noqa: SLF001 `set_debug` would turn the checks off, too
    try:
        return _made_by_asyncio(loop)
    finally:
        loop._debug = is_debug  # type: ignore[attr-defined] # noqa: SLF001 as above


def lighten_debug_mode() -> None:
    """For every event loop of this process that is asyncio's own."""
    asyncio.constants.DEBUG_STACK_DEPTH = _FRAMES  # type: ignore[misc] # final, and no parameter
    asyncio.BaseEventLoop.create_future = _make_future  # type: ignore[method-assign,assignment] # see above
