"""Download links decide who may have a file and which file it is."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from .calls import Call
from .records import FakeFile, Json
from .replies import Reply, json_reply, page_reply, redirect
from .storage import signed_url
from .words import FILE_TYPES, FORMATS
from .world import FakeVersion, World


def download(world: World, call: Call, number: str) -> Reply:
    """Answer `GET /api/download/models/{id}` with a 307 to signed storage, or refuse in the site's order of checks."""
    if world.blacklisted:
        return _refused(call, 403, {"error": "Forbidden"}, "Forbidden")
    if world.quota is not None and world.quota <= 0:
        text = "We've noticed an unusual amount of downloading from your account. Contact support"
        return _refused(call, 429, {"error": text}, text)
    version = world.versions.get(int(number)) if number.isdigit() else None
    refused = _download_params(call) or _download_state(world, call, version)
    if refused or version is None:
        return refused or _not_found(call)
    refused = _download_rights(world, call, version)
    if refused:
        return refused
    file = choose_file(world, call, version, {name: values[0] for name, values in call.query.items()})
    if file is None:
        return _not_found(call)
    if world.lookup_failures > 0:
        world.lookup_failures -= 1
        return _not_found(call).with_headers(Cache_Control="private, no-store")
    if world.quota is not None:
        world.quota -= 1
    return redirect(signed_url(world, call.hosts, file))


def _download_params(call: Call) -> Reply | None:
    """Refuse parameters that the site does not know."""
    sizes, kinds = ("full", "pruned"), {"type": FILE_TYPES, "format": FORMATS}
    wrong = [name for name, known in kinds.items() if name in call.query and call.first(name) not in known]
    wrong += ["size"] if call.first("size", "full") not in sizes else []
    wrong += ["fileId"] if "fileId" in call.query and call.number("fileId") is None else []
    wrong += ["fp"] if len(call.first("fp")) > 64 else []
    return json_reply({"error": f"Invalid request: {wrong[0]}"}, 400) if wrong else None


def _download_state(world: World, call: Call, version: FakeVersion | None) -> Reply | None:
    """Refuse because of the model or version. The site checks for archived models before unpublished ones."""
    model = version.model if version else None
    if version is None or model is None or model.poi or model.id not in world.models:
        return _not_found(call)
    if model.mode == "Archived":
        text = "Model archived, not available for download"
        return _refused(call, 410, {"error": text}, text)
    if version.status != "Published" or model.status != "Published" or model.mode == "TakenDown":
        return _not_found(call)
    if version.usage_control != "Download":
        message = "The creator of this asset has disabled downloads on this file"
        return json_reply({"error": "Unauthorized", "message": message}, 401)
    return None


def _download_rights(world: World, call: Call, version: FakeVersion) -> Reply | None:
    """Refuse because of the caller, who has no key, has not bought early access or lacks permission."""
    account = call.account(world)
    if (version.needs_token or world.login_needed) and not account:
        return _login(call, version)
    if version.locked and account not in version.bought_by:
        if call.browser:
            return redirect(f"{call.hosts.site}/model-versions/{version.id}")
        deadline = {} if version.early_access == "permanent" else {"deadline": version.early_access}
        message = "This asset is in Early Access. You can use Buzz access it now!"
        return json_reply({"error": "Early Access", **deadline, "message": message}, 403)
    if "Private" in (version.availability, version.model.availability):
        denied = "You do not have permission to download this file"
        return _refused(call, 403, {"error": denied}, denied) if account else _login(call, version)
    return None


def _login(call: Call, version: FakeVersion) -> Reply:
    """Ask for a login, with a trap: what looks like a browser ends on a login page with a 200 instead of a 401."""
    if call.browser:
        back = quote(f"/model-versions/{version.id}", safe="")
        return redirect(f"{call.hosts.site}/login?returnUrl={back}&reason=download-auth")
    message = "The creator of this asset requires you to be logged in to download it"
    return json_reply({"error": "Unauthorized", "message": message}, 401)


def _not_found(call: Call) -> Reply:
    return _refused(call, 404, {"error": "File not found"}, "File not found")


def _refused(call: Call, status: int, data: Json, text: str) -> Reply:
    return page_reply(text, status, "text/plain") if call.browser else json_reply(data, status)


def choose_file(world: World, call: Call, version: FakeVersion, wanted: Mapping[str, str]) -> FakeFile | None:
    """Return the file that the download endpoint picks.

    `fileId` names it exactly. Otherwise the candidates are filtered by `type` alone and scored by preferences, where
    those of the account replace the site's own. If the best one is not what was asked for, the answer is a 404.
    """
    candidates = [file for file in version.files if file.visible]
    if wanted.get("fileId"):
        return next((file for file in candidates if str(file.id) == wanted["fileId"]), None)
    linked = world.versions.get(version.vae_version or 0)
    if wanted.get("type"):
        own = [file for file in candidates if file.type == wanted["type"]]
        candidates = own or (linked.files if linked and wanted["type"] == "VAE" else [])
    wishes = {"format": "SafeTensor", "size": "pruned", "fp": "fp16", "quantType": "Q4_K_M"}
    wishes |= world.preferences if call.account(world) else {}
    asked = {key: wanted[key] for key in wishes if wanted.get(key)}
    best = max(candidates, key=lambda file: _score(file, wishes | asked), default=None)
    if best and any(best.metadata.get(key) != value for key, value in asked.items()):
        return None
    return best


def _score(file: FakeFile, wishes: Mapping[str, str]) -> tuple[int, ...]:
    """Rate how well a file fits. The types that can be loaded come first."""
    kinds = ("Model", "Pruned Model", "Diffusion Model", "UNet")
    fits = [int(file.metadata.get(key) == wishes[key]) for key in ("format", "size", "fp", "quantType")]
    return (int(file.type in kinds), *fits)


def download_other(world: World, call: Call, _rest: str) -> Reply:
    """Answer other paths under `/api/download/` with the login page, or with JSON if the request says it is JSON."""
    if call.account(world):
        return json_reply({"error": "Not found"}, 404)
    if "json" in call.headers.get("content-type", ""):
        return json_reply({"error": "Unauthorized"}, 401)
    return redirect(f"{call.hosts.site}/login?returnUrl=%2F&reason=download-auth")


def training_data(_world: World, call: Call, number: str) -> Reply:
    """Redirect the old link of training data."""
    return redirect(f"{call.hosts.site}/api/download/models/{number}?type=Training%20Data", 308)
