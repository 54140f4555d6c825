"""A service for the client under load: it answers one request after the other, each in the same time, and no codec."""

import asyncio
import base64
import json
import threading
import time
from contextlib import contextmanager

from aiohttp import web


class LoadServer:
    """Encodes JSON as itself. At most `queue` requests wait; further ones get 503."""

    def __init__(self, service_s=0.0, queue=10**9, key=None):
        self.url = None
        self.counts = {"encode": 0, "decode": 0}
        self.wrong_payload = None
        self.blobs_differ = False
        self._service_s, self._queue, self._key = service_s, queue, key
        self._waiting = 0

    async def _answer(self, request):
        if self._key and request.headers.get("Authorization") != f"Bearer {self._key}":
            return web.json_response({"error": {"code": "unauthorized"}}, status=401)
        if self._waiting >= self._queue:
            return web.json_response({"error": {"code": "unavailable"}}, status=503)
        self._waiting += 1
        try:
            async with self._busy:
                await asyncio.sleep(self._service_s)
        finally:
            self._waiting -= 1
        operation = request.path.rpartition("/")[2]
        self.counts[operation] += 1
        fields = json.loads(await request.read())
        if operation == "encode":
            salt = time.monotonic_ns() if self.blobs_differ else 0
            blob = base64.b64encode(json.dumps([salt, fields["payload"]]).encode()).decode()
            return web.json_response({"blob": blob, "kind": "json"})
        payload = json.loads(base64.b64decode(fields["blob"]))[1]
        if payload == self.wrong_payload and self.counts["decode"] > 8:
            payload = "something else"
        return web.json_response({"kind": "json", "payload": payload})

    @contextmanager
    def running(self):
        """In a thread of its own."""
        loop = asyncio.new_event_loop()
        started = threading.Event()

        async def start():
            self._busy = asyncio.Lock()
            app = web.Application()
            app.router.add_post("/v1/encode", self._answer)
            app.router.add_post("/v1/decode", self._answer)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            started.set()
            return runner

        def serve():
            runner = loop.run_until_complete(start())
            loop.run_forever()
            loop.run_until_complete(runner.cleanup())
            loop.close()

        thread = threading.Thread(target=serve)
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
