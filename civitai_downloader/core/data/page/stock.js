"use strict";
// What of the data is here: the manifest, the columns of what is loaded, and details, which come when they are wanted.
civitai.room("stock", ["rooms", "columns"], ({ rooms, columns }) => {
  const FORMAT = 1;
  const KEPT_SHARDS = 12;
  const manifest = rooms.manifest();
  const usable = manifest?.format === FORMAT;
  const given = usable ? manifest : { totals: {}, newest: { rows: 0, from: [] } };
  const things = given.things ?? [];
  const { pictures: images = 0, models: modelCount = 0, collections: lists = 0 } = given.totals;
  const totals = { images, models: modelCount, collections: lists, made: given.made ?? "" };

  /** The text of a data file; rejected with "missing" or "cut". */
  const text = (name) => rooms.chunk(`.page/data/${name}.js`, name);
  const parsed = async (name) => JSON.parse(await text(name));

  // -------------------------------------------------------------------------------------------------- the columns
  const placed = (chunks = []) => {
    let first = 0;
    return chunks.map((chunk) => ({ ...chunk, first: (first += chunk.rows) - chunk.rows }));
  };

  const pictures = placed(given.pictures);
  const models = placed(given.models);
  const rowsOf = (chunks) => chunks.reduce((sum, { rows }) => sum + rows, 0);
  const shardOf = new Uint16Array(rowsOf(pictures));
  pictures.forEach(({ first, rows }, k) => shardOf.fill(k, first, first + rows));
  const dead = pictures.map((chunk) => new Set(chunk.dead));
  const parts = [];
  const { newest } = given;
  const first = newest.rows ? columns.looks(newest) : { id: [] };
  const firstChunk = new Map(pictures.map((chunk) => [chunk.name, chunk.first]));
  const firstRows = Uint32Array.from(newest.from, ([name, k]) => (firstChunk.get(name) ?? 0) + k);
  const ratios = new Float32Array(shardOf.length);
  firstRows.forEach((row, k) => (ratios[row] = first.width[k] / first.height[k]));
  const modelRows = [];
  const modelOfVersion = new Map();

  const at = (row) => {
    const shard = shardOf[row];
    if (parts[shard]) return [parts[shard], row - pictures[shard].first];
    return [first, firstRows.indexOf(row)];
  };

  const textAt = ({ texts, codes }, k) => texts[codes[k]];
  const join = (folder, name) => (folder ? `${folder}/${name}` : name);

  /** What is shown of a picture; null if it is not loaded. */
  const picture = (row) => {
    const [part, k] = at(row);
    if (k < 0 || row >= shardOf.length) return null;
    const [id, folder, thumb] = [part.id[k], textAt(part.folder, k), textAt(part.thumb, k)];
    part.hashes ??= part.hash.split(" ");
    return {
      row, id, kind: textAt(part.kind, k), width: part.width[k], height: part.height[k],
      level: textAt(part.level, k),
      url: join(folder, `${id}${textAt(part.ext, k)}`), txt: part.txt[k] ? join(folder, `${id}.txt`) : null,
      thumb: thumb ? `.page/thumbs/${String(id % 100).padStart(2, "0")}/${id}${thumb}` : null, hash: part.hashes[k],
      created: part.created[k], post: part.post[k] || null, likes: part.likes[k], creator: textAt(part.creator, k),
    };
  };

  /** Width divided by height; 1 if unknown. */
  const ratio = (row) => ratios[row] || 1;

  /** The row of a picture's id, or -1. */
  const rowOf = (id) => {
    for (const [shard, part] of parts.entries()) {
      for (let k = part ? part.id.indexOf(id) : -1; k >= 0; k = part.id.indexOf(id, k + 1)) {
        if (!dead[shard].has(k)) return pictures[shard].first + k;
      }
    }
    return firstRows[first.id.indexOf(id)] ?? -1;
  };

  /** The row of a model's id, or -1. */
  const modelRow = (id) => modelRows.findIndex((model) => model?.id === id);

  const previewOf = (preview) => {
    if (!preview || preview.path) return preview && { ...preview, url: preview.path };
    return picture(rowOf(preview.id));
  };

  /** What is shown of a model; null if it is not loaded. */
  const model = (row) => {
    const raw = modelRows[row];
    if (!raw) return null;
    const here = raw.versions.filter((version) => version[4]).length;
    return { ...raw, row, here, versions: raw.versions.length, likes: raw.up, preview: previewOf(raw.preview) };
  };

  /** Keeps what the worker made of a chunk of models. */
  const keepModels = (chunk) => (answer) => {
    answer.forEach((each, k) => {
      if (chunk.dead.includes(k)) return;
      modelRows[chunk.first + k] = each;
      for (const [version] of each.versions) modelOfVersion.set(version, chunk.first + k);
    });
  };

  /** Keeps what the worker made of a chunk of pictures. */
  const keepPictures = (chunk) => (part) => {
    parts[shardOf[chunk.first]] = part;
    part.width.forEach((width, k) => (ratios[chunk.first + k] = width / part.height[k]));
  };

  // ----------------------------------------------------------------------------------------------------- details
  const shards = new Map();

  // One promise a shard; the oldest are forgotten.
  const shard = (name, load) => {
    const promise = shards.get(name) ?? load(name);
    shards.delete(name);
    shards.set(name, promise);
    promise.catch(() => shards.delete(name));
    if (shards.size > KEPT_SHARDS) shards.delete(shards.keys().next().value);
    return promise;
  };

  const bothOf = async (name) => {
    const [hot, more] = await Promise.all([parsed(name), parsed(`${name}.more`).catch(() => null)]);
    const rest = more ? columns.unpackAll({ ...more, rows: hot.rows }) : {};
    return { ...columns.unpackAll(hot), ...rest };
  };

  const pictureShard = (row) => shard(pictures[shardOf[row]].name, bothOf);

  const cut = (raw, clean) => {
    if (clean === 1) return raw;
    if (!Array.isArray(clean)) return clean ?? null;
    let [from, left] = [0, ""];
    clean.forEach((length, k) => {
      if (k % 2 === 0) left += (raw ?? "").slice(from, from + length);
      from += length;
    });
    return left;
  };

  const fileOf = (details, version) => {
    const files = details?.versions.find((each) => each.id === version)?.files ?? [];
    const here = files.filter((file) => file.path);
    const file = here.find((each) => each.primary) ?? here[0];
    return file ? file.name : null;
  };

  const madeOf = async ([kind, name, version, id, other, base], weight) => {
    const row = modelOfVersion.get(id);
    const raw = modelRows[row];
    const details = raw ? await modelDetails(raw.id).catch(() => null) : null;
    const known = raw?.versions.find((each) => each[0] === id);
    return {
      name: raw?.name || name || String(id || ""), version: known?.[1] || version, type: raw?.type || kind, weight,
      base: base || known?.[2] || "", model: raw?.id ?? (other || null), file: fileOf(details, id),
      href: raw ? `#/model/${raw.id}` : null, lora: columns.LORAS.has(kind || raw?.type.toLowerCase()),
    };
  };

  const loraTag = ({ file, weight }) => `<lora:${file.replace(/\.[^.]+$/, "")}:${weight ?? 1}>`;

  // A key is 16 bytes in base64url; addresses have it as a UUID.
  const keyOf = (key) => {
    const bytes = [...globalThis.atob(key.replaceAll("-", "+").replaceAll("_", "/"))].map((byte) => byte.charCodeAt(0));
    const digits = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  };

  const described = async (v, k, shown) => {
    const made = await Promise.all(v.used[k].map(([thing, weight]) => madeOf(things[thing], weight)));
    const of = (name) => v[name]?.[k] ?? null;
    const web = (name) => (of(name) ?? "").replaceAll("{id}", shown.id).replaceAll("{key}", keyOf(of("key") ?? ""));
    const raw = v.prompt[k];
    return {
      id: shown.id, url: web("url"), page: web("page"), post_id: of("post"), username: of("creator"),
      created_at: v.created[k],
      width: of("width"), height: of("height"), type: of("kind"), nsfw_level: of("level"), likes: of("likes"),
      model_versions: of("model_versions") ?? [], tools: of("tools"), techniques: of("techniques") ?? [], raw_prompt: raw,
      prompt: cut(raw, of("clean")), negative_prompt: of("negative"),
      prompt_with_clothes: cut(raw, of("clothes") === 0 ? of("clean") : of("clothes")),
      sampler: of("sampler"), steps: of("steps"), cfg_scale: of("cfg_scale"), seed: of("seed"), size: of("size"),
      model: things[of("checkpoint")]?.[1] ?? null, txt: shown.txt, path: shown.url, also: of("also"), made,
      loras: made.filter((each) => each.lora && each.file).map(loraTag), whole: "steps" in v,
    };
  };

  /** All that is known of a picture; `whole` unless a data file with a part of it is gone or damaged. */
  const details = async (id) => {
    const row = rowOf(id);
    if (row < 0) throw new Error("missing");
    const v = await pictureShard(row);
    return described(v, row - pictures[shardOf[row]].first, picture(row));
  };

  /** All that is known of a model. */
  const modelDetails = async (id) => {
    const row = modelRow(id);
    const chunk = models.find(({ first: begin, rows }) => row >= begin && row < begin + rows);
    if (!chunk) throw new Error("missing");
    const { columns: { details: list } } = await shard(`${chunk.name}.more`, parsed);
    return { ...model(row), ...columns.unpack(list, chunk.rows)[row - chunk.first] };
  };

  /** Fetches what a picture's details need. */
  const prepare = (row) => {
    pictureShard(row).catch(() => null);
  };

  // ------------------------------------------------------------------------------------------- collections and posts
  const rowsIn = async (chunk) => {
    const values = columns.unpackAll(await parsed(chunk.name));
    const list = [...Array(chunk.rows).keys()].filter((k) => !chunk.dead.includes(k));
    return list.map((k) => Object.fromEntries(Object.entries(values).map(([name, column]) => [name, column[k]])));
  };

  const allOf = (chunks = []) => {
    let promise = null;
    const load = async () => (await Promise.all(chunks.map((chunk) => rowsIn(chunk).catch(() => [])))).flat();
    return () => (promise ??= load());
  };

  return {
    collections: allOf(given.collections), posts: allOf(given.posts), details, firstRows, keepModels, keepPictures,
    model, modelDetails, modelRow, models, picture, pictures, prepare, ratio, rowOf, rowsOf, text,
    things, totals, usable,
  };
});
