"""The REST API describes models, versions, files and pictures in these shapes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote, urlencode

from .calls import Call, Hosts
from .pictures import ACCOUNT, picture_url
from .records import FakeFile, FakeImage, Json, iso
from .words import ALL_LEVELS, LEVEL_NAMES
from .world import FakeModel, FakeVersion, World


def model_json(
    world: World, call: Call, model: FakeModel, form: str, versions: Sequence[FakeVersion], mask: int
) -> Json:
    """Describe a model with these versions, as in a list or by id."""
    if model.recorded is not None:
        return dict(rehosted(model.recorded, call.hosts))
    level = model.nsfw_level
    answer: Json = {
        "id": model.id,
        "name": model.name,
        "description": model.description,
        "allowNoCredit": True,
        "allowCommercialUse": _commercial_use(world, model),
        "allowDerivatives": True,
        "allowDifferentLicense": False,
        "type": model.type,
        "minor": model.minor,
        "sfwOnly": False,
        "poi": model.poi,
        "nsfw": level > 3,
        "nsfwLevel": level,
        "availability": model.availability,
        "userId": world.user_id(model.creator) if model.creator else -1,
        "cosmetic": None,
        "baseModels": list(dict.fromkeys(version.base_model for version in versions)),
        "supportsGeneration": True,
        "stats": _model_counters(world, model),
        "creator": {"username": model.creator, "image": _avatar_url(call.hosts, model.creator)},
        "tags": model.tags,
        "modelVersions": [version_json(world, call, version, form, mask) for version in versions],
    }
    if not model.creator:
        del answer["creator"]
    if model.mode:
        answer["mode"] = model.mode
    return answer | model.extra


def _model_counters(world: World, model: FakeModel) -> Json:
    counts = {"downloadCount": model.downloads, "thumbsUpCount": model.thumbs, "thumbsDownCount": 1}
    return _counters(world, **counts, commentCount=4, tippedAmountCount=0)


def _avatar_url(hosts: Hosts, creator: str) -> str:
    return f"{hosts.image}/{ACCOUNT}/00000000-0000-4000-8000-00000000a001/width=96/{quote(creator)}.jpeg"


def _commercial_use(world: World, model: FakeModel) -> Any:
    words = model.commercial_use
    shapes = {"list": words, "postgres": "{" + ",".join(words) + "}", "word": [*words, "None"][0], "empty": []}
    return shapes[world.commercial_use_shape]


def version_json(world: World, call: Call, version: FakeVersion, form: str, mask: int = ALL_LEVELS) -> Json:
    """Describe a version inside a model. By id, keys with empty values are omitted, such as `files` if archived."""
    if version.recorded is not None:
        return dict(rehosted(version.recorded, call.hosts))
    model = version.model
    answer: Json = {
        "id": version.id,
        "index": model.versions.index(version),
        "name": version.name,
        "baseModel": version.base_model,
        "baseModelType": "Standard",
        "publishedAt": version.published,
        "flags": 0,
        "availability": "EarlyAccess" if version.locked else version.availability,
        "nsfwLevel": version.nsfw_level,
        "description": version.description,
        "trainedWords": version.trained_words,
        "vaeId": version.vae_version,
        "supportsGeneration": True,
        "paidAccess": _paid_access(version),
        "stats": _counters(
            world, downloadCount=model.downloads // 2, thumbsUpCount=model.thumbs // 2, thumbsDownCount=0
        ),
        "files": _files_json(world, call, version, form),
        "images": _images_json(world, call, version, form, mask),
        "downloadUrl": f"{call.hosts.site}/api/download/models/{version.id}",
    }
    if version.early_access and version.early_access != "permanent":
        answer["earlyAccessDeadline"] = version.early_access
    if model.mode == "Archived":
        del answer["downloadUrl"]
    if form == "by-id":
        answer |= {"createdAt": version.published, "status": version.status, "covered": True}
        return _pruned(answer)
    return answer


def version_alone(world: World, call: Call, version: FakeVersion) -> Json:
    """Describe a version by itself: at most 10 pictures, with metadata, but nothing about the creator or tags."""
    if version.recorded_alone is not None:
        return dict(rehosted(version.recorded_alone, call.hosts))
    model = version.model
    about = {"name": model.name, "type": model.type, "nsfw": model.nsfw_level > 3, "poi": model.poi}
    if version.recorded is not None:
        answer = dict(rehosted(version.recorded, call.hosts)) | {"modelId": model.id, "model": about}
        for file in answer.get("files") or ():
            file["primary"] = bool(file.get("primary"))
        return answer
    return {
        "id": version.id,
        "modelId": model.id,
        "name": version.name,
        "nsfwLevel": version.nsfw_level,
        "createdAt": version.published,
        "updatedAt": version.published,
        "status": version.status,
        "publishedAt": version.published,
        "trainedWords": version.trained_words,
        "trainingStatus": None,
        "trainingDetails": None,
        "baseModel": version.base_model,
        "baseModelType": "Standard",
        "description": version.description,
        "uploadType": "Created",
        "usageControl": version.usage_control,
        "licensingFee": None,
        "paidAccess": _paid_access(version),
        "air": air(version),
        "stats": _counters(world, downloadCount=model.downloads // 2, thumbsUpCount=model.thumbs // 2),
        "model": about,
        "files": _files_json(world, call, version, "alone"),
        "images": _images_json(world, call, version, "alone", ALL_LEVELS),
        "downloadUrl": f"{call.hosts.site}/api/download/models/{version.id}",
    }


def air(version: FakeVersion) -> str:
    """Return the AIR urn of a version."""
    kinds = {"TextualInversion": "embedding", "LoCon": "lycoris", "Hypernetwork": "hypernet"}
    family = version.base_model.lower().replace(" ", "").replace(".", "")
    kind = kinds.get(version.model.type, version.model.type.lower())
    return f"urn:air:{family}:{kind}:civitai:{version.model.id}@{version.id}"


def _paid_access(version: FakeVersion) -> Json | None:
    if not version.locked:
        return None
    forever = version.early_access == "permanent"
    return {"permanent": forever, "endsAt": None if forever else version.early_access}


def _counters(world: World, **counters: int) -> Json:
    return dict.fromkeys(counters) if world.null_counters else dict(counters)


def _files_json(world: World, call: Call, version: FakeVersion, form: str) -> list[Json]:
    if version.model.mode == "Archived":
        return []
    rows = [file_json(call, version, file, form) for file in version.files]
    linked = world.versions.get(version.vae_version or 0)
    for file in linked.files if linked else ():
        row = file_json(call, version, replace(file, primary=False), form)
        rows.append(row | {"downloadUrl": f"{call.hosts.site}/api/download/models/{version.id}?type=VAE"})
    return rows


def file_json(call: Call, version: FakeVersion, file: FakeFile, form: str) -> Json:
    """Describe a file. Lists have `primary` only if true; a version by itself always has it, and times without `Z`."""
    alone = form == "alone"
    scanned = iso(file.id)
    answer: Json = {
        "id": file.id,
        "sizeKB": file.body.size / 1024 if file.size_kb is None else file.size_kb,
        "name": file.name,
        "overrideName": None,
        "type": file.type,
        "pickleScanResult": "Success",
        "pickleScanMessage": "No Pickle imports",
        "virusScanResult": "Success",
        "virusScanMessage": None,
        "scannedAt": scanned.rstrip("Z0").rstrip(".") if alone else scanned,
        "metadata": _pruned(file.metadata) if form == "by-id" else file.metadata,
        "hashes": file.published_hashes,
        "downloadUrl": _file_url(call.hosts, version, file),
    }
    if file.primary or alone:
        answer["primary"] = file.primary
    return answer | file.extra


def _file_url(hosts: Hosts, version: FakeVersion, file: FakeFile) -> str:
    """Return the site's link of a file. Unless the file is primary, it may deliver another file or none."""
    link = f"{hosts.site}/api/download/models/{version.id}"
    if file.primary:
        return link
    wanted = {"type": file.type} | {key: file.metadata.get(key) for key in ("format", "size", "fp")}
    return f"{link}?{urlencode({key: value for key, value in wanted.items() if value})}"


def _pruned(part: Json) -> Json:
    return {key: value for key, value in part.items() if value is not None and value != []}


def _images_json(world: World, call: Call, version: FakeVersion, form: str, mask: int) -> list[Json]:
    if version.model.mode == "TakenDown":
        return []
    shown = [image for image in version.images if image.level & mask]
    return [_showcase_json(world, call, image, form) for image in shown[: 10 if form == "alone" else 20]]


def _showcase_json(world: World, call: Call, image: FakeImage, form: str) -> Json:
    answer: Json = {"id": image.id} if form == "list" else {}
    answer |= {
        "url": picture_url(world, call.hosts, image, image.id),
        "nsfwLevel": image.level,
        "width": image.width,
        "height": image.height,
        "hash": image.shown_hash,
        "type": image.kind,
    }
    if form == "alone":
        size = {"size": len(image.data), "width": image.width, "height": image.height}
        video = {"audio": False, "duration": 3.04} if image.kind == "video" else {}
        answer["metadata"] = {"hash": answer["hash"], **size, **video}
    prompt = bool(image.meta and image.meta.get("prompt"))
    answer |= {"minor": image.minor, "poi": image.poi, "hasMeta": bool(image.meta), "hasPositivePrompt": prompt}
    answer |= {"onSite": False, "remixOfId": None}
    if form == "alone" and image.shown_meta is not None:
        answer["meta"] = image.shown_meta
    return answer


def image_json(world: World, call: Call, image: FakeImage, nested: bool) -> Json:
    """Describe a picture of `/api/v1/images`. `meta` is null unless asked for, and nested if the database answers."""
    if image.recorded is not None:
        return dict(rehosted(image.recorded, call.hosts))
    meta: Json | None = image.shown_meta if call.flag("withMeta") else None
    if nested and call.flag("withMeta"):
        meta = {"id": image.id, "meta": meta}
    versions = [world.versions[number] for number in image.version_ids if number in world.versions]
    stats = {"cryCount": 0, "laughCount": 1, "likeCount": image.likes, "dislikeCount": 0, "heartCount": 2}
    answer = {
        "id": image.id,
        "url": picture_url(world, call.hosts, image, image.uuid),
        "hash": image.shown_hash,
        "width": image.width,
        "height": image.height,
        "nsfwLevel": LEVEL_NAMES.get(image.level, "None"),
        "type": image.kind,
        "nsfw": image.level > 3,
        "browsingLevel": image.level,
        "createdAt": image.created,
        "postId": image.post_id,
        "stats": stats | {"commentCount": 0},
        "meta": meta,
        "username": image.username,
        "baseModel": versions[0].base_model if versions else None,
        "modelVersionIds": image.version_ids,
    }
    if call.flag("withTags"):
        answer["tags"] = [{"id": tag_id(name), "name": name} for name in image.tags]
    return answer


def tag_id(name: str) -> int:
    """Return the number of a tag."""
    return zlib.crc32(name.encode()) % 100_000


def rehosted(value: Any, hosts: Hosts, key: str = "") -> Any:
    """Return a recorded answer in which links to files and pictures lead here. Descriptions and metadata stay."""
    if isinstance(value, dict):
        return {name: part if name == "meta" else rehosted(part, hosts, name) for name, part in value.items()}
    if isinstance(value, list):
        return [rehosted(part, hosts, key) for part in value]
    if isinstance(value, str) and key in ("url", "downloadUrl", "image"):
        value = re.sub(r"^https?://image(cache)?\.civitai\.com", hosts.image, value)
        value = re.sub(r"^https?://api\.civitai\.com/(?=download)", f"{hosts.site}/api/", value)
        return re.sub(r"^https?://(www\.|api\.)?civitai\.(com|red)", hosts.site, value)
    return value
