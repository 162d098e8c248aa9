"""Routes say which function answers a call: by host, and on the site itself by method and path."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from .calls import Call, Host
from .downloads import download, download_other, training_data
from .pages import image_page, show_page
from .pictures import answer_blob, answer_image
from .replies import Reply, json_reply
from .rest_hashes import list_by_hash, list_ids_by_hash, show_by_hash
from .rest_images import list_images
from .rest_models import list_models, show_mini, show_model, show_version
from .rest_names import list_creators, list_enums, list_tags, show_collection, show_me
from .storage import answer_storage
from .trpc import answer_trpc
from .world import World

Route = tuple[str, str, Callable[..., Reply]]


def answer(world: World, call: Call) -> Reply:
    """Return the answer of the host that was called."""
    return ANSWERS[call.host](world, call)


def answer_site(world: World, call: Call) -> Reply:
    """Return the answer of the site itself. A HEAD request is treated like a GET request."""
    for method, pattern, route in ROUTES:
        match = re.fullmatch(pattern, call.path)
        if match and method == call.method.replace("HEAD", "GET"):
            return route(world, call, *(unquote(part) for part in match.groups()))
    return json_reply({"error": "Method not allowed"}, 405)


def unknown_path(_world: World, _call: Call, _rest: str) -> Reply:
    """Answer for an API path that does not exist."""
    return json_reply({"error": "Not found"}, 404)


ANSWERS: dict[Host, Callable[[World, Call], Reply]] = {
    "site": answer_site,
    "storage": answer_storage,
    "image": answer_image,
    "blob": answer_blob,
}

#: The first route that fits is taken.
ROUTES: list[Route] = [
    ("GET", r"/api/trpc/([\w.,]+)", answer_trpc),
    ("POST", r"/api/trpc/([\w.,]+)", answer_trpc),
    ("GET", r"/images/(\d+)", image_page),
    ("GET", r"/api/v1/models", list_models),
    ("GET", r"/api/v1/models/([^/]+)", show_model),
    ("GET", r"/api/v1/model-versions/by-hash/([0-9A-Za-z]+)", show_by_hash),
    ("POST", r"/api/v1/model-versions/by-hash", list_by_hash),
    ("POST", r"/api/v1/model-versions/by-hash/ids", list_ids_by_hash),
    ("GET", r"/api/v1/model-versions/mini/([^/]+)", show_mini),
    ("GET", r"/api/v1/model-versions/([^/]+)", show_version),
    ("GET", r"/api/v1/images", list_images),
    ("GET", r"/api/v1/me", show_me),
    ("GET", r"/api/v1/creators", list_creators),
    ("GET", r"/api/v1/tags", list_tags),
    ("GET", r"/api/v1/enums", list_enums),
    ("GET", r"/api/v1/collections/(\d+)", show_collection),
    ("GET", r"/api/download/models/([^/]+)", download),
    ("GET", r"/api/download/training-data/([^/]+)", training_data),
    ("GET", r"/api/download/(.+)", download_other),
    ("GET", r"/(api/.*)", unknown_path),
    ("GET", r"/(.*)", show_page),
]
