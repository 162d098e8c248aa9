"use strict";
// The only way in which rooms make elements, hand out texts and speak to the reader.
civitai.room("dom", ["words"], ({ words }) => {
  const SVG = "http://www.w3.org/2000/svg";

  const setAll = (node, prefix, values) => {
    for (const [key, value] of Object.entries(values)) setOne(node, `${prefix}${key}`, value);
  };

  const setOne = (node, name, value) => {
    if (value === null || value === undefined) return;
    if (name.startsWith("aria-")) node.setAttribute(name, value);
    else if (value !== false) node.setAttribute(name, value === true ? "" : value);
  };

  const setProp = (node, name, value) => {
    if (name.startsWith("on") || name === "style" || name === "href" || name === "src")
      throw new TypeError(`"${name}" is not set here.`);
    if (name === "text") node.textContent = value;
    else if (name === "data" || name === "aria") setAll(node, `${name}-`, value);
    else setOne(node, name, value);
  };

  /**
   * Makes an element.
   * @param {string} tag
   * @param {object} props attributes; `text`, `data: {…}` and `aria: {…}` are understood
   * @param {...(Node|string|number|null|Array)} children
   */
  const el = (tag, props = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(props)) setProp(node, name, value);
    node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
    return node;
  };

  /** Makes a picture from the symbols of index.html, for sighted readers only. */
  const icon = (name) => {
    const svg = document.createElementNS(SVG, "svg");
    const use = document.createElementNS(SVG, "use");
    svg.setAttribute("class", "icon");
    svg.setAttribute("aria-hidden", "true");
    use.setAttribute("href", `#i-${name}`);
    svg.append(use);
    return svg;
  };

  /** Makes a button for something to do; with an icon, its text is its name and title. */
  const button = (doing, wordKey, iconName = "", props = {}) => {
    const text = words.say(wordKey);
    const named = iconName ? { "aria-label": text, title: text } : { text };
    const node = el("button", { type: "button", ...named, ...props, data: { do: doing, ...props.data } });
    if (iconName) node.append(icon(iconName));
    return node;
  };

  /** Returns the first element that fits, or null. */
  const maybeFind = (selector, root = document) => root.querySelector(selector);

  /** Returns the first element that fits; throws if there is none. */
  const find = (selector, root = document) => {
    const node = maybeFind(selector, root);
    if (!node) throw new Error(`There is no "${selector}".`);
    return node;
  };

  /** Gives an element these children and no others. */
  const fill = (node, ...children) => {
    node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
    return node;
  };

  const SAFE = /^(?:#|https?:\/\/|(?!\/)[^:?#\\]+$)/i;

  const point = (attribute) => (node, url) => {
    if (url && SAFE.test(url)) node.setAttribute(attribute, url);
    else node.removeAttribute(attribute);
    return node;
  };

  /**
   * Listens for all elements of a kind at once.
   * @param {EventTarget} root
   * @param {string} type
   * @param {string} selector
   * @param {(element: Element, event: Event) => void} handler
   * @param {AbortSignal} [signal] ends it
   */
  const on = (root, type, selector, handler, signal) => {
    const heard = (event) => {
      const element = event.target.closest?.(selector);
      if (element && root.contains(element)) handler(element, event);
    };
    root.addEventListener(type, heard, { signal });
  };

  // ---------------------------------------------------------------------------------------- speaking to the reader
  let silence = 0;

  /**
   * Shows a sentence for a while, and has it read out.
   * @param {string} text
   * @param {boolean} undo whether there is something to undo
   */
  const announce = (text, undo = false) => {
    const notice = find("#notice");
    clearTimeout(silence);
    fill(notice, el("span", { text }), undo ? button("undo", "notice.undo") : null);
    silence = setTimeout(() => fill(notice), undo ? 10_000 : 4_000);
  };

  /** Says in one line what is wrong, once for each name; an empty text takes the line away. */
  const trouble = (name, text, action = null) => {
    const place = find("#trouble");
    maybeFind(`[data-trouble="${name}"]`, place)?.remove();
    if (text) place.append(el("p", { data: { trouble: name } }, text, action));
    place.hidden = !place.hasChildNodes();
  };

  // Where the clipboard is closed to pages from disk, a selected text can still be copied.
  const copyOld = (text) => {
    const field = el("textarea", { readonly: true, class: "off-screen" });
    field.value = text;
    (maybeFind("dialog[open]") ?? document.body).append(field);
    const before = document.activeElement;
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    before?.focus?.();
    return done;
  };

  /** Copies a text to the clipboard and says so. */
  const copy = async (text) => {
    let done;
    try {
      await navigator.clipboard.writeText(text);
      done = true;
    } catch {
      done = copyOld(text);
    }
    announce(words.say(done ? "notice.copied" : "notice.not-copied"));
    return done;
  };

  /** Hands out a file as a download. */
  const save = (name, data, type) => {
    const url = URL.createObjectURL(data instanceof Blob ? data : new Blob([data], { type }));
    const anchor = el("a", { download: name });
    anchor.href = url;
    anchor.click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  };

  /** Shows an author's markup through the browser's own sanitiser, or else the text. */
  const html = (node, markup, text) => {
    if (node.setHTML) node.setHTML(markup);
    else node.textContent = text;
  };

  /** Returns a text with its hits marked; spans as `query.marks` returns them. */
  const marked = (text, spans) => {
    const all = document.createDocumentFragment();
    let end = 0;
    for (const [from, to] of spans) {
      all.append(text.slice(end, from), el("mark", {}, text.slice(from, to)));
      end = to;
    }
    all.append(text.slice(end));
    return all;
  };

  const styles = new WeakMap();

  /** Sets a style, unless it is as it was left. */
  const put = (node, key, value) => {
    const known = styles.get(node) ?? styles.set(node, {}).get(node);
    if (known[key] === value) return;
    known[key] = value;
    node.style[key] = value;
  };

  return {
    announce, button, copy, el, fill, find, html, icon, marked, maybeFind, on, put, save, trouble,
    link: point("href"),
    source: point("src"),
  };
});
