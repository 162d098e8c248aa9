"use strict";
// The namespace `civitai`, and what must be there before the first paint. Everything else is a room of its own.
{
  const factories = {};
  const made = {};
  const texts = new Map();

  /** Makes a room of `needs` (names of rooms above it); what its factory returns is what others may use. */
  const room = (name, needs, factory) => {
    const missing = needs.find((need) => !made[need]);
    if (missing) throw new Error(`The script "${name}" needs "${missing}", which is not there.`);
    factories[name] = factory;
    made[name] = Object.freeze(factory(made));
  };

  // What a data file calls with its name and its content as JSON text.
  const chunk = (name, text) => texts.set(name, text);

  globalThis.civitai = Object.freeze({ room, chunk });

  room("rooms", [], () => {
    const root = document.documentElement;
    const OURS = /^(?:\.page\/(?:[\w-]+\/)*[\w-]+(?:\.[\w-]+)*\.js|user-data\.js)(?:\?v=[\w.-]+)?$/;

    const checked = (url) => {
      if (OURS.test(url) || url.startsWith("blob:")) return url;
      throw new TypeError(`"${url}" is not a script of this page.`);
    };
    const policy = globalThis.trustedTypes?.createPolicy("civitai", { createScriptURL: checked });
    const scriptUrl = (url) => (policy ? policy.createScriptURL(url) : checked(url));

    // What fails before the page has started is said by index.html itself: nothing else may be there to say it.
    const count = ({ target }) => {
      const ours = target === globalThis || target.matches?.("script:not([data-file])");
      if (ours && !made.main) root.dataset.broken = Number(root.dataset.broken ?? 0) + 1;
    };
    globalThis.addEventListener("error", count, true);

    /** Loads a script of the page or `user-data.js`; rejected with "missing" if there is no such file. */
    const load = async (url) => {
      const script = document.createElement("script");
      script.dataset.file = "";
      script.src = scriptUrl(url);
      document.head.append(script);
      await new Promise((done, fail) => {
        script.addEventListener("load", done);
        script.addEventListener("error", () => fail(new Error("missing")));
      }).finally(() => script.remove());
    };

    /** Returns the JSON text of a data file; rejected with "missing", or with "cut" if the file makes no call. */
    const chunkOf = async (url, name) => {
      await load(url);
      const text = texts.get(name);
      texts.delete(name);
      if (text === undefined) throw new Error("cut");
      return text;
    };

    /** Starts a worker from rooms that touch no document and are loaded already; the last of them has `serve(port)`. */
    const worker = (names) => {
      const lines = names.map((name) => `rooms.${name} = (${factories[name]})(rooms);`);
      const source = ['"use strict";', "const rooms = {};", ...lines, `rooms.${names.at(-1)}.serve(self);`];
      const blob = new Blob([source.join("\n"), "\n//# sourceURL=worker.js"], { type: "text/javascript" });
      const url = URL.createObjectURL(blob);
      const started = new Worker(scriptUrl(url));
      started.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
      return started;
    };

    const attempt = (what, otherwise) => {
      try {
        return what();
      } catch {
        return otherwise;
      }
    };

    const files = {};

    /** What "manifest" or "words" said, which are loaded before the other scripts; null if it is gone or damaged. */
    const given = (name) => (files[name] ??= attempt(() => JSON.parse(texts.get(name)), null));

    // All pages from disk may share one storage: settings are for all of them, the rest is for one library.
    const library = () => given("manifest")?.library ?? "";
    const named = (key) => (key === "settings" ? "civitai.settings" : `civitai.${library()}.${key}`);

    // A browser that keeps nothing throws when it is asked.
    const recall = (key, fallback) => attempt(() => JSON.parse(localStorage.getItem(named(key))), null) ?? fallback;
    const remember = (key, value) =>
      attempt(() => {
        localStorage.setItem(named(key), JSON.stringify(value));
        return true;
      }, false);

    const show = (name) => {
      if (name === "light" || name === "dark") root.dataset.theme = name;
      else delete root.dataset.theme;
    };
    show(recall("settings", {}).theme);

    return { load, chunk: chunkOf, given, worker, recall, remember, show };
  });
}
