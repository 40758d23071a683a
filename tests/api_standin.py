"""A small API server of the tests: lists and watches of PythonPools and pods, and proof of tokens.

It keeps a log of events, so that a watch may begin at an old version, be cut, or be too old.
"""

import asyncio
import base64
import json
import time
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

Json = dict[str, Any]

NAMESPACE = "shop"
ISSUER = "https://kubernetes.default.svc"
AUDIENCE = "pythonpool-link"


def number_text(number: int) -> str:
    """A whole number as a JSON Web Key has it."""
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """A key of the cluster, and tokens that it signs."""

    def __init__(self, kid: str) -> None:
        self.kid = kid
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def public(self) -> Json:
        """As the JWKS shows it."""
        numbers = self.key.public_key().public_numbers()
        shown = {"n": number_text(numbers.n), "e": number_text(numbers.e)}
        return {"kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.kid, **shown}

    def token(self, claims: Json, **headers: str) -> str:
        """These claims, signed."""
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.kid, **headers})


def claims_of(pod: str, uid: str, account: str, **changes: Any) -> Json:
    """What a projected token of a pod says."""
    now = int(time.time())
    return {
        "aud": [AUDIENCE],
        "exp": now + 3600,
        "iat": now,
        "nbf": now,
        "iss": ISSUER,
        "sub": f"system:serviceaccount:{NAMESPACE}:{account}",
        "kubernetes.io": {
            "namespace": NAMESPACE,
            "pod": {"name": pod, "uid": uid},
            "serviceaccount": {"name": account, "uid": "a" * 8},
        },
        **changes,
    }


class StandIn:
    """Serves on a loopback port; `url` is there after `start`."""

    def __init__(self) -> None:
        self.signers = [Signer("one")]
        self.objects: dict[str, dict[str, Json]] = {"pythonpools": {}, "pods": {}}
        self.requests: list[str] = []
        self.refuses_below = 0
        self.hides_keys = 0
        self.reviews: list[Json] = []
        self.url = ""
        self._log: list[tuple[int, str, Json]] = []
        self._version = 100
        self._news = asyncio.Condition()
        self._epoch = 0
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> None:
        """Listen; on the same port as before when it was stopped."""
        app = web.Application()
        pools = f"/apis/pythonpool.dev/v1alpha1/namespaces/{NAMESPACE}/pythonpools"
        app.router.add_get(pools, self._pools)
        app.router.add_get(f"/api/v1/namespaces/{NAMESPACE}/pods", self._pods)
        app.router.add_get("/.well-known/openid-configuration", self._issuer)
        app.router.add_get("/openid/v1/jwks", self._keys)
        app.router.add_post("/apis/authentication.k8s.io/v1/tokenreviews", self._review)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}"

    async def stop(self) -> None:
        """Away: every watch is cut, nothing is answered."""
        await self.cut()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def cut(self) -> None:
        """End every watch."""
        self._epoch += 1
        async with self._news:
            self._news.notify_all()

    def kubeconfig(self, path: Path) -> Path:
        """A kubeconfig for it."""
        content = {
            "clusters": [{"name": "c", "cluster": {"server": self.url}}],
            "users": [{"name": "u", "user": {"token": "t"}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        path.write_text(json.dumps(content))
        return path

    async def put(self, kind: str, live: Json) -> None:
        """Make an object, or change it."""
        name = live["metadata"]["name"]
        event = "MODIFIED" if name in self.objects[kind] else "ADDED"
        await self._tell(kind, event, live)
        self.objects[kind][name] = live

    async def delete(self, kind: str, name: str) -> None:
        """Delete an object."""
        await self._tell(kind, "DELETED", self.objects[kind].pop(name))

    def forget(self) -> None:
        """Old versions can not be watched from any more."""
        self._log.clear()
        self._version += 1
        self.refuses_below = self._version

    async def _tell(self, kind: str, event: str, live: Json) -> None:
        self._version += 1
        live["metadata"]["resourceVersion"] = str(self._version)
        self._log.append(
            (self._version, kind, {"type": event, "object": json.loads(json.dumps(live))})
        )
        async with self._news:
            self._news.notify_all()

    async def _pools(self, request: web.Request) -> web.StreamResponse:
        return await self._serve(request, "pythonpools")

    async def _pods(self, request: web.Request) -> web.StreamResponse:
        assert request.query["labelSelector"] == "app.kubernetes.io/name=pythonpool"
        return await self._serve(request, "pods")

    async def _serve(self, request: web.Request, kind: str) -> web.StreamResponse:
        if request.query.get("watch") == "true":
            self.requests.append(f"watch {kind}")
            return await self._watch(request, kind)
        self.requests.append(f"list {kind}")
        items = list(self.objects[kind].values())
        return web.json_response(
            {"metadata": {"resourceVersion": str(self._version)}, "items": items}
        )

    async def _watch(self, request: web.Request, kind: str) -> web.StreamResponse:
        since, epoch = int(request.query["resourceVersion"]), self._epoch
        response = web.StreamResponse()
        await response.prepare(request)
        if since < self.refuses_below:
            error = {"kind": "Status", "code": 410, "message": "too old resource version"}
            await response.write(json.dumps({"type": "ERROR", "object": error}).encode() + b"\n")
            return response
        while epoch == self._epoch:
            for version, about, event in list(self._log):
                if version > since:
                    since = version
                    if about == kind:
                        await response.write(json.dumps(event).encode() + b"\n")
            async with self._news:
                if epoch == self._epoch and self._version <= since:
                    await self._news.wait()
        return response

    async def _issuer(self, _: web.Request) -> web.Response:
        return web.json_response({"issuer": ISSUER, "jwks_uri": "https://elsewhere/keys"})

    async def _keys(self, _: web.Request) -> web.Response:
        self.requests.append("keys")
        if self.hides_keys:
            return web.json_response({"message": "not for you"}, status=self.hides_keys)
        return web.json_response({"keys": [signer.public() for signer in self.signers]})

    async def _review(self, request: web.Request) -> web.Response:
        """As an API server does for tokens of its own; `reviews` has what was asked."""
        self.requests.append("review")
        spec = (await request.json())["spec"]
        self.reviews.append(spec)
        token, key = spec["token"], self.signers[-1].key.public_key()
        try:
            claims = jwt.decode(token, key, algorithms=["RS256"], audience=spec["audiences"])
        except jwt.PyJWTError as error:
            return web.json_response({"status": {"authenticated": False, "error": str(error)}})
        pod = claims["kubernetes.io"]["pod"]
        extra = {
            f"authentication.kubernetes.io/pod-{name}": [pod[name]] for name in ("name", "uid")
        }
        user = {"username": claims["sub"], "extra": extra}
        status = {"authenticated": True, "user": user, "audiences": spec["audiences"]}
        return web.json_response({"status": status})
